#include "app/settings_git_texts.hpp"

#include <fmt/format.h>

#include "app/settings_values.hpp"

namespace opi::app {

std::optional<std::string> check_branch(std::string_view text) {
  const bool bad = text.starts_with('-') || text.find_first_of(" ~^:?*[\\") != std::string_view::npos ||
                   text.find("..") != std::string_view::npos;
  if (!bad) return std::nullopt;
  return fmt::format("{} is not a branch name; write one like main", in_quotes(text));
}

std::optional<std::string> check_url(std::string_view text) {
  if (const auto scheme = text.find("://"); scheme != std::string_view::npos) {
    const std::string_view authority = text.substr(scheme + 3, text.find('/', scheme + 3) - (scheme + 3));
    const auto at = authority.rfind('@');
    if (at != std::string_view::npos && authority.substr(0, at).find(':') != std::string_view::npos) {
      return "has a password in it; write it in password or password_file, and its user in username";
    }
  }
  if (!text.starts_with('-') && text.find_first_of(" \"'<>") == std::string_view::npos) return std::nullopt;
  return fmt::format("{} is not an address that Git takes; write one like https://host/path.git", in_quotes(text));
}

std::optional<std::string> check_proxy(std::string_view text) {
  if (text.find('@') != std::string_view::npos) return "has credentials in it; write a proxy that needs none";
  for (const std::string_view scheme : {"http://", "https://", "socks5h://"}) {
    if (text.starts_with(scheme) && text.size() > scheme.size()) return std::nullopt;
  }
  return fmt::format("{} is not a proxy; write one like http://proxy.example.org:3128", in_quotes(text));
}

std::optional<std::string> check_pattern(std::string_view text) {
  if (!text.starts_with('/') && text.find("..") == std::string_view::npos) return std::nullopt;
  return fmt::format("{} leaves the repository; write a pattern like projects/*.yaml", in_quotes(text));
}

}  // namespace opi::app
