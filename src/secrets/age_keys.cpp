// age keys in their text forms.
#include <fmt/format.h>

#include <cstring>
#include <optional>

#include "secrets/age.hpp"
#include "secrets/bech32.hpp"
#include "secrets/primitives.hpp"

namespace opi::secrets {
namespace {

constexpr std::string_view recipient_prefix = "age";
constexpr std::string_view identity_prefix = "age-secret-key-";
constexpr std::string_view public_key_comment = "# public key:";
constexpr std::size_t key_bytes = 32;
constexpr std::size_t identities_max = 100;

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

/// "AGE-SECRET-KEY-1…" is printed in upper case; the encoder speaks lower case.
SecretString in_upper_case(const SecretString& text) {
  std::string upper(text.reveal());
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return SecretString::take(std::move(upper));
}

}  // namespace

Result<AgeRecipient> AgeRecipient::parse(std::string_view text) {
  auto decoded = bech32_decode(text);
  if (!decoded) return failure(std::move(decoded.error()).while_doing("not an age public key"));
  if (decoded->prefix != recipient_prefix) {
    return failure(ErrorKind::invalid, "not an age X25519 public key: it does not start with \"age1\"");
  }
  if (decoded->data.size() != key_bytes) return failure(ErrorKind::invalid, "not an age public key: not 32 bytes");
  AgeRecipient recipient;
  std::memcpy(recipient.point_.data(), decoded->data.reveal().data(), key_bytes);
  return recipient;
}

std::string AgeRecipient::to_string() const {
  return std::string(bech32_encode(recipient_prefix, point()).reveal());
}

AgeIdentity::AgeIdentity(SecretString scalar) : scalar_(std::move(scalar)) {
  const auto point = x25519_public(scalar_.reveal());
  std::memcpy(recipient_.point_.data(), point.data(), point.size());
}

AgeIdentity AgeIdentity::generate() {
  Key scalar;
  random_bytes({scalar.data(), Key::size()});
  return AgeIdentity(SecretString(scalar.view()));
}

Result<AgeIdentity> AgeIdentity::parse(std::string_view text) {
  auto decoded = bech32_decode(text);
  if (!decoded) return failure(std::move(decoded.error()).while_doing("not an age identity"));
  if (decoded->prefix != identity_prefix) {
    return failure(ErrorKind::invalid, "not an age X25519 identity: it does not start with \"AGE-SECRET-KEY-1\"");
  }
  if (decoded->data.size() != key_bytes) return failure(ErrorKind::invalid, "not an age identity: not 32 bytes");
  return AgeIdentity(std::move(decoded->data));
}

Result<AgeIdentity> AgeIdentity::parse_file(std::string_view text) {
  auto all = parse_all(text);
  if (!all) return failure(std::move(all.error()));
  return std::move(all->front());
}

Result<std::vector<AgeIdentity>> AgeIdentity::parse_all(std::string_view text) {
  std::vector<AgeIdentity> identities;
  std::optional<std::string> announced;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (line.starts_with(public_key_comment)) announced = trim(line.substr(public_key_comment.size()));
    if (line.empty() || line.front() == '#') continue;
    if (identities.size() == identities_max) return failure(ErrorKind::invalid, "more than 100 identities");
    auto identity = parse(line);
    if (!identity) return failure(std::move(identity.error()).while_doing(fmt::format("key file, line {}", number)));
    if (announced && *announced != identity->recipient().to_string()) {
      return failure(ErrorKind::invalid,
                     fmt::format("key file, line {}: the comment before it names another public key", number));
    }
    announced.reset();
    identities.push_back(std::move(*identity));
  }
  if (identities.empty()) return failure(ErrorKind::invalid, "no age identity in the key file");
  return identities;
}

SecretString AgeIdentity::to_secret() const {
  return in_upper_case(bech32_encode(identity_prefix, scalar_.reveal()));
}

SecretString AgeIdentity::to_key_file(std::string_view created) const {
  const SecretString secret = to_secret();
  std::string text;
  text.reserve(created.size() + secret.size() + 128);  // no growth: nothing is left unwiped
  text.append("# created: ").append(created).append("\n# public key: ").append(recipient_.to_string());
  text.append("\n").append(secret.reveal()).append("\n");
  return SecretString::take(std::move(text));
}

}  // namespace opi::secrets
