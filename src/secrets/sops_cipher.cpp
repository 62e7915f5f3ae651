#include "secrets/sops_cipher.hpp"

#include <array>
#include <optional>
#include <stdexcept>

#include "secrets/base64.hpp"
#include "secrets/primitives.hpp"
#include "secrets/sops_numbers.hpp"

namespace opi::secrets::sops {
namespace {

constexpr std::string_view sealed_start = "ENC[AES256_GCM,data:";
constexpr std::size_t nonce_bytes = 32;

std::string_view type_of(const Value& value) {
  switch (value.kind) {
    case Kind::boolean: return "bool";
    case Kind::integer: return "int";
    case Kind::floating: return "float";
    case Kind::time: return "time";
    case Kind::string: return "str";
    case Kind::comment: return "comment";
    case Kind::null:
    case Kind::list:
    case Kind::map: break;
  }
  throw std::invalid_argument("only scalars and comments are encrypted");
}

struct Parts {
  std::string data;
  std::string nonce;
  std::string tag;
  std::string_view type;
};

struct RawParts {
  std::string_view data, nonce, tag, type;
};

/// Everything is taken as late as it can be; what follows the last bracket is not looked at.
std::optional<RawParts> split(std::string_view text) noexcept {
  if (!text.starts_with(sealed_start)) return {};
  const std::size_t end = text.rfind(']');
  if (end == std::string_view::npos) return {};
  text = text.substr(sealed_start.size(), end - std::min(end, sealed_start.size()));
  RawParts parts;
  const auto take_last = [&text](std::string_view mark, std::string_view& into) {
    const std::size_t at = text.rfind(mark);
    if (at == std::string_view::npos) return false;
    into = text.substr(at + mark.size());
    text = text.substr(0, at);
    return !into.empty();
  };
  if (!take_last(",type:", parts.type) || !take_last(",tag:", parts.tag) || !take_last(",iv:", parts.nonce)) return {};
  parts.data = text;
  if (parts.data.empty()) return {};
  return parts;
}

std::unexpected<Error> refuse(std::string reason) {
  return failure(ErrorKind::invalid, std::move(reason));
}

Result<Parts> parse(std::string_view text) {
  const auto raw = split(text);
  if (!raw) return refuse("it does not have the form of an encrypted value");
  auto data = base64_decode(raw->data);
  auto nonce = base64_decode(raw->nonce);
  auto tag = base64_decode(raw->tag);
  for (const auto* part : {&data, &nonce, &tag}) {
    if (!*part) return failure(part->error());
  }
  return Parts{.data = std::move(*data), .nonce = std::move(*nonce), .tag = std::move(*tag), .type = raw->type};
}

Result<Value> typed(std::string_view type, std::string bytes) {
  const auto is_no = [type](std::string_view what) {
    return refuse("its type is " + std::string(type) + ", and its text is no " + std::string(what));
  };
  Value value = Value::of_string(std::move(bytes));
  if (type == "str" || type == "bytes") return value;
  if (type == "comment") return Value::of_comment(std::move(value.text));
  if (type == "int") {
    const auto number = read_integer(value.text);
    if (!number) return is_no("whole number of 64 bits");
    return Value::of_integer(*number);
  }
  if (type == "float") {
    const auto number = read_float(value.text);
    if (!number) return is_no("number");
    return Value::of_number(*number);
  }
  if (type == "bool") {
    const auto boolean = read_boolean(value.text);
    if (!boolean) return is_no("boolean");
    return Value::of_boolean(*boolean);
  }
  if (type == "time") {
    auto time = read_time(value.text);
    if (!time) return is_no("time");
    return Value::of_time(std::move(*time));
  }
  return refuse("its type is not known");
}

SecretString hash_key(std::string_view data_key) {
  const auto key = hmac_sha256(data_key, "opi: values that keep their nonce");
  return SecretString(std::string_view(reinterpret_cast<const char*>(key.data()), key.size()));
}

}  // namespace

bool looks_encrypted(std::string_view text) noexcept {
  return split(text).has_value();
}

ValueCipher::ValueCipher(std::string_view data_key)
    : cipher_(data_key), hash_(KeyedHash::create(hash_key(data_key)).value()) {}

Digest ValueCipher::key_of(const Value& value, std::string_view place) const {
  std::string text = std::to_string(place.size()) + ":";
  text.append(place).append(type_of(value)).append(":").append(value.bytes());
  const Digest key = hash_.digest(text);
  wipe(text);
  return key;
}

std::string ValueCipher::encrypt(const Value& value, std::string_view place) {
  SecretString plain = SecretString::take(value.bytes());
  if (plain.empty()) return {};
  std::array<unsigned char, nonce_bytes> fresh{};
  std::string nonce;
  const auto known = nonces_.empty() ? nonces_.end() : nonces_.find(key_of(value, place));
  if (known != nonces_.end() && known->second.size() == nonce_bytes) {
    nonce = known->second;
  } else {
    random_bytes(fresh);
    nonce.assign(reinterpret_cast<const char*>(fresh.data()), fresh.size());
  }
  const std::string sealed = cipher_.seal(nonce, place, plain.reveal());
  const std::string_view view = sealed;
  std::string text(sealed_start);
  text.append(base64_encode(view.substr(0, view.size() - Aes256Gcm::tag_size))).append(",iv:");
  text.append(base64_encode(nonce)).append(",tag:");
  text.append(base64_encode(view.substr(view.size() - Aes256Gcm::tag_size))).append(",type:");
  return text.append(type_of(value)).append("]");
}

Result<Value> ValueCipher::decrypt(std::string_view text, std::string_view place) {
  if (text.empty()) return Value::of_string({});
  auto parts = parse(text);
  if (!parts) return failure(std::move(parts.error()));
  std::string bytes;
  bytes.reserve(parts->data.size());
  if (!cipher_.open(parts->nonce, place, parts->data, parts->tag, bytes)) {
    return refuse("it was changed, moved to another place, or encrypted under another data key");
  }
  auto value = typed(parts->type, std::move(bytes));
  if (value) nonces_.insert_or_assign(key_of(*value, place), std::move(parts->nonce));
  return value;
}

}  // namespace opi::secrets::sops
