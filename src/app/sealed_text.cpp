#include "app/sealed_text.hpp"

#include <string>
#include <string_view>
#include <utility>

#include "secrets/base64.hpp"

namespace opi::app {

namespace {

constexpr std::string_view armor = "-----BEGIN AGE ENCRYPTED FILE-----";

std::string with_line_breaks(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escaped = text[i] == '\\' && i + 1 < text.size() && text[i + 1] == 'n';
    out += escaped ? '\n' : text[i];
    i += escaped ? 1 : 0;
  }
  return out;
}

}  // namespace

Result<SecretString> unsealed(SecretString text, const secrets::PlatformKey& key) {
  constexpr std::string_view base64_prefix = "base64+age:";
  constexpr std::string_view age_prefix = "age:";
  constexpr std::string_view plain_prefix = "plain:";
  std::string_view rest = text.reveal();
  const auto begin = rest.find_first_not_of(" \t\r\n");
  const std::string_view stripped = begin == std::string_view::npos ? std::string_view() : rest.substr(begin);
  if (stripped.starts_with(plain_prefix)) return SecretString(stripped.substr(plain_prefix.size()));
  std::string sealed;
  if (stripped.starts_with(base64_prefix)) {
    std::string_view encoded = stripped.substr(base64_prefix.size());
    encoded = encoded.substr(0, encoded.find_last_not_of(" \t\r\n") + 1);
    auto decoded = secrets::base64_decode(encoded);
    if (!decoded) return failure(std::move(decoded).error());
    sealed = with_line_breaks(*decoded);
    if (!decoded->starts_with(armor)) sealed = *std::move(decoded);
  } else if (stripped.starts_with(age_prefix)) {
    sealed = with_line_breaks(stripped.substr(age_prefix.size()));
  } else if (stripped.starts_with(armor)) {
    sealed = with_line_breaks(stripped);
  } else {
    return text;
  }
  const auto first = sealed.find_first_not_of(" \n");
  if (first != std::string::npos && std::string_view(sealed).substr(first).starts_with(armor)) sealed.erase(0, first);
  return key.open(sealed);
}

}  // namespace opi::app
