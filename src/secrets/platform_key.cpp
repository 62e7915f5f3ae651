#include "secrets/platform_key.hpp"

#include <span>

namespace opi::secrets {
namespace {

/// Environments that cannot carry line feeds pass them as the two characters "\n".
SecretString with_line_feeds(std::string_view text) {
  std::string lines;
  lines.reserve(text.size());  // it only shrinks
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("\\n")) {
      lines.push_back('\n');
      ++i;
    } else {
      lines.push_back(text[i]);
    }
  }
  return SecretString::take(std::move(lines));
}

}  // namespace

Result<PlatformKey> PlatformKey::parse(std::string_view text) {
  const SecretString lines = with_line_feeds(text);
  auto identities = AgeIdentity::parse_all(lines.reveal());
  if (!identities) return failure(std::move(identities.error()).while_doing("the platform key cannot be read"));
  return PlatformKey(std::move(*identities));
}

PlatformKey PlatformKey::generate() {
  std::vector<AgeIdentity> identities;
  identities.push_back(AgeIdentity::generate());
  return PlatformKey(std::move(identities));
}

std::vector<std::string> PlatformKey::recipients() const {
  std::vector<std::string> names;
  names.reserve(identities_.size());
  for (const AgeIdentity& identity : identities_) names.push_back(identity.recipient().to_string());
  return names;
}

Result<std::string> PlatformKey::seal(std::string_view plaintext) const {
  return age_encrypt(plaintext, std::span(&recipient(), 1));
}

Result<SecretString> PlatformKey::open(std::string_view file) const {
  return age_decrypt(file, identities_);
}

SecretString PlatformKey::to_key_file(std::string_view created) const {
  return identities_.front().to_key_file(created);
}

}  // namespace opi::secrets
