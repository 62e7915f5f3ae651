// age keys in their text forms.
#include <fmt/format.h>

#include <cstring>
#include <optional>

#include "secrets/age.hpp"
#include "secrets/bech32.hpp"
#include "secrets/primitives.hpp"
#include "secrets/secret_ledger.hpp"

namespace opi::secrets {
namespace {

constexpr std::string_view recipient_prefix = "age";
constexpr std::string_view identity_prefix = "age-secret-key-";
constexpr std::string_view public_key_comment = "# public key:";
constexpr std::size_t key_bytes = 32;
constexpr std::size_t keys_max = 1'000;

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

/// The name of a key type that exists and is not ours; empty for none. `text` may be a secret: only its type is told.
std::string foreign_type(std::string_view text) {
  if (text.starts_with("age1pq1")) return "ML-KEM hybrid recipient (age1pq1…, mlkem768x25519)";
  if (text.starts_with("AGE-SECRET-KEY-PQ-1")) return "ML-KEM hybrid identity (AGE-SECRET-KEY-PQ-1…, mlkem768x25519)";
  if (text.starts_with("AGE-PLUGIN-")) return "plugin identity (AGE-PLUGIN-…)";
  if (text.starts_with("ssh-ed25519 ")) return "SSH key (ssh-ed25519)";
  if (text.starts_with("ssh-rsa ")) return "SSH key (ssh-rsa)";
  if (text.starts_with("-----BEGIN ") && text.find("PRIVATE KEY") != std::string_view::npos) return "SSH private key";
  const bool plugin = text.starts_with("age1") && text.rfind('1') > 3 && text.rfind('1') != std::string_view::npos;
  if (plugin && bech32_decode(text)) return "plugin recipient (age1NAME1…)";
  return {};
}

std::unexpected<Error> not_supported(const std::string& type) {
  return failure(Error(ErrorKind::unsupported, "age: a key of type " + type + " is not supported")
                     .with_remedy("use an X25519 key (age1…)"));
}

/// Calls `take(line, number)` for each line that is neither empty nor a comment, and `comment(line)` for the others.
template <class Take, class Comment>
Result<> each_line(std::string_view text, const Take& take, const Comment& comment) {
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (line.empty() || line.front() == '#') {
      comment(line);
    } else if (auto taken = take(line, number); !taken) {
      return taken;
    }
  }
  return {};
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
  if (const std::string type = foreign_type(text); !type.empty()) return not_supported(type);
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

Result<std::vector<AgeRecipient>> AgeRecipient::parse_all(std::string_view text) {
  std::vector<AgeRecipient> recipients;
  const auto take = [&](std::string_view line, std::size_t number) -> Result<> {
    if (recipients.size() == keys_max) return failure(ErrorKind::invalid, "more than 1000 recipients");
    auto recipient = parse(line);
    if (!recipient) {
      return failure(std::move(recipient.error()).while_doing(fmt::format("recipients file, line {}", number)));
    }
    recipients.push_back(*recipient);
    return {};
  };
  const auto comment = [](std::string_view) {};
  if (auto read = each_line(text, take, comment); !read) return failure(std::move(read.error()));
  if (recipients.empty()) return failure(ErrorKind::invalid, "no age public key in the recipients file");
  return recipients;
}

AgeIdentity::AgeIdentity(SecretString scalar) : scalar_(std::move(scalar)) {
  const auto point = x25519_public(scalar_.reveal());
  std::memcpy(recipient_.point_.data(), point.data(), point.size());
}

AgeIdentity AgeIdentity::generate() {
  Key scalar;
  random_bytes({scalar.data(), Key::size()});
  AgeIdentity identity{SecretString(scalar.view())};
  note_made_secret(identity.to_secret().reveal());
  return identity;
}

Result<AgeIdentity> AgeIdentity::parse(std::string_view text) {
  if (const std::string type = foreign_type(text); !type.empty()) return not_supported(type);
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
  const auto take = [&](std::string_view line, std::size_t number) -> Result<> {
    if (identities.size() == keys_max) return failure(ErrorKind::invalid, "more than 1000 identities");
    auto identity = parse(line);
    if (!identity) return failure(std::move(identity.error()).while_doing(fmt::format("key file, line {}", number)));
    if (announced && *announced != identity->recipient().to_string()) {
      return failure(ErrorKind::invalid,
                     fmt::format("key file, line {}: the comment before it names another public key", number));
    }
    announced.reset();
    identities.push_back(std::move(*identity));
    return {};
  };
  const auto comment = [&](std::string_view line) {
    if (line.starts_with(public_key_comment)) announced = trim(line.substr(public_key_comment.size()));
  };
  if (auto read = each_line(text, take, comment); !read) return failure(std::move(read.error()));
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
