// What is done with a SOPS file: the steps between its text, its documents and its keys.
#include "secrets/sops.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "secrets/password.hpp"
#include "secrets/primitives.hpp"
#include "secrets/sops_data_key.hpp"
#include "secrets/sops_formats.hpp"
#include "secrets/sops_walk.hpp"

namespace opi::secrets::sops {
namespace {

/// The version of the program whose files ours are like; readers want one.
constexpr std::string_view version_written = "3.13.2";

std::unexpected<Error> refuse(ErrorKind kind, std::string message, std::string_view code) {
  return failure(Error(kind, std::move(message)).with_code(std::string(code)));
}

std::string time_text(WallTime now) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", std::chrono::floor<std::chrono::seconds>(now));
}

/// A file whose values are open, and what it takes to close it again.
struct OpenFile {
  EncryptedFile file;
  SecretString data_key;
  ValueCipher cipher;
};

Result<Chooser> chooser_of(const Selector& selector, std::string_view code) {
  auto chooser = Chooser::create(selector);
  if (!chooser) return failure(std::move(chooser.error()).with_code(std::string(code)));
  return chooser;
}

Result<> check_mac(const Metadata& metadata, const std::string& computed, ValueCipher& cipher) {
  if (metadata.mac.empty()) return refuse(ErrorKind::invalid, "the file has no MAC", error_codes::mac);
  const auto stored = cipher.decrypt(metadata.mac, metadata.authenticated_time());
  if (!stored) {
    return failure(Error(ErrorKind::invalid, "the MAC cannot be decrypted")
                       .because(stored.error().message)
                       .with_code(std::string(error_codes::mac)));
  }
  if (!equal_in_constant_time(stored->text, computed)) {
    return failure(Error(ErrorKind::invalid, "the MAC does not match: values were changed, moved, added or removed")
                       .with_code(std::string(error_codes::mac)));
  }
  return {};
}

Result<OpenFile> open_file(std::string_view text, Format format, const DecryptOptions& options) {
  auto file = read_encrypted(text, format);
  if (!file) return failure(std::move(file.error()));
  const auto chooser = chooser_of(file->metadata.selector, error_codes::unreadable);
  if (!chooser) return failure(chooser.error());
  auto data_key = open_data_key(file->metadata, options.identities);
  if (!data_key) return failure(std::move(data_key.error()));
  ValueCipher cipher(data_key->reveal());
  const auto mac = decrypt_values(
      file->branches, {.chooser = &*chooser, .mac_only_encrypted = file->metadata.mac_only_encrypted}, cipher);
  if (!mac) return failure(mac.error());
  if (!options.ignore_mac) {
    if (auto good = check_mac(file->metadata, *mac, cipher); !good) return failure(std::move(good.error()));
  }
  return OpenFile{.file = std::move(*file), .data_key = std::move(*data_key), .cipher = std::move(cipher)};
}

/// Encrypts the values and the MAC in place; `file.metadata` says how.
Result<> close_file(EncryptedFile& file, ValueCipher& cipher, WallTime now) {
  const auto chooser = chooser_of(file.metadata.selector, error_codes::encrypting);
  if (!chooser) return failure(chooser.error());
  const auto mac = encrypt_values(
      file.branches, {.chooser = &*chooser, .mac_only_encrypted = file.metadata.mac_only_encrypted}, cipher);
  if (!mac) return failure(mac.error());
  file.metadata.last_modified = time_text(now);
  file.metadata.mac = cipher.encrypt(Value::of_string(*mac), file.metadata.authenticated_time());
  return {};
}

Result<Branches> read_plaintext(std::string_view plaintext, Format from, Format to) {
  auto branches = read_plain(plaintext, from);
  if (!branches) return failure(std::move(branches.error()));
  if (branches->empty()) {
    return refuse(ErrorKind::invalid, "the file is empty: at least one document is needed", error_codes::empty);
  }
  const auto taken = [to](const Value& branch) {
    return std::ranges::any_of(branch.map, [to](const Item& item) {
      return to == Format::dotenv ? item.key.starts_with("sops_") : item.key == "sops";
    });
  };
  if (std::ranges::any_of(*branches, taken)) {
    return refuse(ErrorKind::conflict,
                  to == Format::dotenv ? "the file is encrypted already, or has keys that start with \"sops_\""
                                       : "the file is encrypted already, or has a key \"sops\"",
                  error_codes::already_encrypted);
  }
  return branches;
}

/// One step of a path: a key or an index.
struct Step {
  bool index = false;
  std::size_t number = 0;
  std::string key;
};

Result<std::vector<Step>> read_path(std::string_view path) {
  std::vector<Step> steps;
  const auto wrong = [] {
    return refuse(ErrorKind::invalid, R"(a path is written as ["key"]["key"][0])", error_codes::path);
  };
  while (!path.empty()) {
    if (path[0] != '[') return wrong();
    const std::size_t end = path.find(
        path.size() > 1 && (path[1] == '"' || path[1] == '\'') ? std::string{path[1], ']'} : std::string("]"), 2);
    if (end == std::string_view::npos) return wrong();
    Step step;
    if (path[1] == '"' || path[1] == '\'') {
      step.key = path.substr(2, end - 2);
      path.remove_prefix(end + 2);
    } else {
      const std::string_view digits = path.substr(1, end - 1);
      const auto [stop, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), step.number);
      if (problem != std::errc{} || stop != digits.data() + digits.size()) return wrong();
      step.index = true;
      path.remove_prefix(end + 1);
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

const Value* follow(const Value& root, const std::vector<Step>& steps) {
  const Value* at = &root;
  for (const Step& step : steps) {
    if (step.index) {
      if (!at->is(Kind::list) || step.number >= at->list.size()) return nullptr;
      at = &at->list[step.number];
    } else {
      at = at->find(step.key);
      if (at == nullptr) return nullptr;
    }
  }
  return at;
}

Result<SecretString> write_value(const Value& value, Format to, const Layout& layout) {
  if (value.is(Kind::string)) return SecretString(value.text);
  auto text = to == Format::json || to == Format::binary ? write_json_value(value, layout.json_indent)
              : to == Format::yaml ? Result<std::string>(write_yaml_value(value, layout.yaml_indent))
                                   : refuse(ErrorKind::invalid, "only strings can be extracted from this format",
                                            error_codes::unwritable);
  if (!text) return failure(std::move(text.error()).with_code(std::string(error_codes::unwritable)));
  return SecretString::take(std::move(*text));
}

}  // namespace

Result<std::string> encrypt(std::string_view plaintext, Format format, const EncryptOptions& options) {
  return encrypt(plaintext, format, format, options);
}

Result<std::string> encrypt(std::string_view plaintext, Format from, Format to, const EncryptOptions& options) {
  auto branches = read_plaintext(plaintext, from, to);
  if (!branches) return failure(std::move(branches.error()));
  const SecretString data_key = generate_key(data_key_bytes);
  auto sealed = seal_data_key(data_key, options.recipients);
  if (!sealed) return failure(std::move(sealed.error()));
  EncryptedFile file{.branches = std::move(*branches), .metadata = {}};
  file.metadata.groups.push_back({.age = std::move(*sealed)});
  file.metadata.version = version_written;
  if (from != Format::binary) {
    file.metadata.selector = options.selector;
    file.metadata.mac_only_encrypted = options.mac_only_encrypted;
    if (options.selector == Selector{}) file.metadata.selector.unencrypted_suffix = "_unencrypted";
  }
  ValueCipher cipher(data_key.reveal());
  if (auto closed = close_file(file, cipher, options.now); !closed) return failure(std::move(closed.error()));
  return write_encrypted(file, to, options.layout);
}

Result<SecretString> decrypt(std::string_view file, Format format, const DecryptOptions& options) {
  return decrypt(file, format, format, options);
}

Result<SecretString> decrypt(std::string_view file, Format from, Format to, const DecryptOptions& options) {
  const auto opened = open_file(file, from, options);
  if (!opened) return failure(opened.error());
  auto text = write_plain(opened->file.branches, to, options.layout);
  if (!text) return failure(std::move(text.error()));
  return SecretString::take(std::move(*text));
}

Result<SecretString> extract(std::string_view file, Format from, Format to, std::string_view path,
                             const DecryptOptions& options) {
  const auto steps = read_path(path);
  if (!steps) return failure(steps.error());
  const auto opened = open_file(file, from, options);
  if (!opened) return failure(opened.error());
  const Value* value = follow(opened->file.branches.front(), *steps);
  if (value == nullptr) {
    return refuse(ErrorKind::not_found, "there is nothing at " + std::string(path), error_codes::path);
  }
  return write_value(*value, to, options.layout);
}

Result<std::string> edit(std::string_view file, std::string_view plaintext, Format format,
                         const DecryptOptions& options, WallTime now) {
  auto opened = open_file(file, format, options);
  if (!opened) return failure(std::move(opened.error()));
  auto branches = read_plaintext(plaintext, format, format);
  if (!branches) return failure(std::move(branches.error()));
  opened->file.branches = std::move(*branches);
  if (auto closed = close_file(opened->file, opened->cipher, now); !closed) return failure(std::move(closed.error()));
  return write_encrypted(opened->file, format, options.layout);
}

Result<KeyList> keys_of(std::string_view file, Format format) {
  const auto read = read_encrypted(file, format);
  if (!read) return failure(read.error());
  KeyList keys{.groups = read->metadata.groups.size(), .threshold = read->metadata.shamir_threshold};
  for (const KeyGroup& group : read->metadata.groups) {
    for (const AgeEntry& entry : group.age) keys.age.push_back(entry.recipient);
    std::ranges::move(foreign_keys(group), std::back_inserter(keys.foreign));
  }
  return keys;
}

bool is_encrypted(std::string_view text, Format format) {
  const auto branches = read_plain(text, format == Format::binary ? Format::json : format);
  return branches && has_metadata(*branches, format == Format::binary ? Format::json : format);
}

Result<KeyUpdate> update_keys(std::string_view file, Format format, std::span<const AgeRecipient> recipients,
                              std::span<const std::string> foreign, const DecryptOptions& options) {
  auto read = read_encrypted(file, format);
  if (!read) return failure(std::move(read.error()));
  Metadata& metadata = read->metadata;
  if (metadata.groups.size() > 1) {
    return failure(ErrorKind::unsupported,
                   "a file with several key groups (Shamir) is opened, but its keys are not changed");
  }
  KeyGroup& group = metadata.groups.front();
  const auto has = [](const auto& list, const std::string& name) {
    return std::ranges::find(list, name) != list.end();
  };
  std::vector<std::string> before;
  for (const AgeEntry& entry : group.age) before.push_back(entry.recipient);
  std::ranges::move(foreign_keys(group), std::back_inserter(before));
  std::vector<std::string> after;
  for (const AgeRecipient& recipient : recipients) after.push_back(recipient.to_string());
  for (const std::string& key : foreign) {
    if (!has(before, key)) {
      return failure(ErrorKind::unsupported, key + " is not among the file's keys, and only age keys can be added");
    }
    after.push_back(key);
  }
  KeyUpdate update;
  std::ranges::copy_if(after, std::back_inserter(update.added), [&](const auto& key) { return !has(before, key); });
  std::ranges::copy_if(before, std::back_inserter(update.removed), [&](const auto& key) { return !has(after, key); });
  if (update.added.empty() && update.removed.empty()) return update;

  const auto data_key = open_data_key(metadata, options.identities);
  if (!data_key) return failure(data_key.error());
  auto sealed = seal_data_key(*data_key, recipients);
  if (!sealed) return failure(std::move(sealed.error()));
  group.age = std::move(*sealed);
  for (Item& service : group.foreign) {
    std::erase_if(service.value.list,
                  [&](const Value& key) { return !has(after, foreign_key_name(service.key, key)); });
  }
  std::erase_if(group.foreign, [](const Item& service) { return service.value.list.empty(); });
  auto written = write_encrypted(*read, format, options.layout);
  if (!written) return failure(std::move(written.error()));
  update.file = std::move(*written);
  return update;
}

}  // namespace opi::secrets::sops
