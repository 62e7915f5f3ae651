#include "secrets/sops_formats.hpp"

#include <algorithm>

namespace opi::secrets::sops {
namespace {

constexpr std::string_view metadata_key = "sops";
constexpr std::string_view metadata_prefix = "sops_";
constexpr std::string_view binary_key = "data";

Error coded(Error error, std::string_view code) {
  return std::move(error).with_code(std::string(code));
}

Result<std::string> write_binary(const Value& map) {
  const Value* data = map.find(binary_key);
  if (data == nullptr || !data->is(Kind::string)) return failure(ErrorKind::invalid, "it holds no binary data");
  return data->text;
}

Result<Branches> read(std::string_view text, Format format) {
  if (text.size() > file_bytes_max) return failure(ErrorKind::invalid, "a file of more than 64 MiB");
  switch (format) {
    case Format::yaml: return read_yaml(text);
    case Format::json: return read_json(text);
    case Format::dotenv: return read_dotenv(text);
    case Format::ini: return read_ini(text);
    case Format::binary: break;
  }
  Value map = Value::of_kind(Kind::map);
  append(map, std::string(binary_key), Value::of_string(std::string(text)));
  Branches branches;
  branches.push_back(std::move(map));
  return branches;
}

Result<std::string> write(const Branches& branches, Format format, const Layout& layout) {
  if (format == Format::yaml) return write_yaml(branches, layout.yaml_indent);
  if (branches.empty()) return failure(ErrorKind::invalid, "there is no document to write");
  switch (format) {
    case Format::json: return write_json(branches.front(), layout.json_indent);
    case Format::dotenv: return write_dotenv(branches.front());
    case Format::ini: return write_ini(branches.front());
    case Format::yaml:
    case Format::binary: break;
  }
  return write_binary(branches.front());
}

bool is_metadata(const Item& item, Format format) {
  if (item.value.is(Kind::comment)) return false;
  return format == Format::dotenv ? item.key.starts_with(metadata_prefix) : item.key == metadata_key;
}

/// Takes the entries of the metadata out of a document.
Value take_metadata(Value& branch, Format format) {
  Value taken = Value::of_kind(Kind::map);
  Map rest;
  for (Item& item : branch.map) (is_metadata(item, format) ? taken.map : rest).push_back(std::move(item));
  branch.map = std::move(rest);
  return taken;
}

std::unexpected<Error> no_metadata(std::string reason) {
  return failure(coded(Error(ErrorKind::invalid, std::move(reason)), error_codes::unreadable));
}

Result<Value> nested_metadata(Value taken, Format format) {
  if (format == Format::dotenv) {
    if (taken.map.empty()) return no_metadata("sops metadata not found");
    for (Item& item : taken.map) item.key.erase(0, metadata_prefix.size());
    return unflatten_metadata(taken, false);
  }
  if (taken.map.empty()) return no_metadata("sops metadata not found");
  if (taken.map.size() > 1) return no_metadata("sops metadata are there twice");
  Value& entry = taken.map.front().value;
  if (!entry.is(Kind::map)) return no_metadata("the entry \"sops\" is no map");
  return format == Format::ini ? unflatten_metadata(entry, true) : Result<Value>(std::move(entry));
}

}  // namespace

Format format_of(std::string_view path) noexcept {
  const auto ends = [path](std::string_view suffix) { return path.ends_with(suffix); };
  if (ends(".yaml") || ends(".yml")) return Format::yaml;
  if (ends(".json")) return Format::json;
  if (ends(".env")) return Format::dotenv;
  return ends(".ini") ? Format::ini : Format::binary;
}

std::optional<Format> format_named(std::string_view name) noexcept {
  if (name == "yaml") return Format::yaml;
  if (name == "json") return Format::json;
  if (name == "dotenv") return Format::dotenv;
  if (name == "ini") return Format::ini;
  if (name == "binary") return Format::binary;
  return {};
}

Result<Branches> read_plain(std::string_view text, Format format) {
  auto branches = read(text, format);
  if (!branches) return failure(coded(std::move(branches.error()), error_codes::unreadable));
  return branches;
}

Result<std::string> write_plain(const Branches& branches, Format format, const Layout& layout) {
  auto text = write(branches, format, layout);
  if (!text) return failure(coded(std::move(text.error()), error_codes::unwritable));
  return text;
}

bool has_metadata(const Branches& branches, Format format) {
  return !branches.empty() &&
         std::ranges::any_of(branches.front().map, [&](const Item& item) { return is_metadata(item, format); });
}

Result<EncryptedFile> read_encrypted(std::string_view text, Format format) {
  // The envelope of binary data is JSON.
  auto branches = read_plain(text, format == Format::binary ? Format::json : format);
  if (!branches) return failure(std::move(branches.error()));
  if (branches->empty()) return no_metadata("sops metadata not found");
  EncryptedFile file;
  for (std::size_t i = 0; i < branches->size(); ++i) {
    Value taken = take_metadata((*branches)[i], format);
    if (i > 0) continue;  // copies of the first
    auto nested = nested_metadata(std::move(taken), format);
    if (!nested) return failure(std::move(nested.error()));
    auto metadata = read_metadata(*nested);
    if (!metadata) return failure(std::move(metadata.error()));
    file.metadata = std::move(*metadata);
  }
  file.branches = std::move(*branches);
  return file;
}

Result<std::string> write_encrypted(const EncryptedFile& file, Format format, const Layout& layout) {
  const Value metadata = write_metadata(file.metadata);
  Branches branches;
  for (const Value& branch : file.branches) {
    Value written = branch.copy();
    if (format == Format::dotenv) {
      Value flat = flatten_metadata(metadata, std::string(metadata_prefix), false);
      std::ranges::move(flat.map, std::back_inserter(written.map));
    } else {
      append(written, std::string(metadata_key),
             format == Format::ini ? flatten_metadata(metadata, {}, true) : metadata.copy());
    }
    branches.push_back(std::move(written));
  }
  return write_plain(branches, format == Format::binary ? Format::json : format, layout);
}

}  // namespace opi::secrets::sops
