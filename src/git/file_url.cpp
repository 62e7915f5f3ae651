#include "git/file_url.hpp"

#include <cstddef>

namespace opi::git {

namespace {

constexpr std::string_view file_scheme = "file://";
constexpr std::string_view hex_digits = "0123456789ABCDEF";

// RFC 3986, unreserved, and the slash that separates.
bool is_plain(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

int digit_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string file_url(std::string_view path) {
  std::string url{file_scheme};
  for (const char c : path) {
    if (is_plain(c)) {
      url += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      url += {'%', hex_digits[byte >> 4U], hex_digits[byte & 15U]};
    }
  }
  return url;
}

std::string path_of_file_url(std::string_view url) {
  std::string path;
  if (!url.starts_with(file_scheme)) return path;
  for (std::size_t i = file_scheme.size(); i < url.size(); ++i) {
    const int high = url[i] == '%' && i + 2 < url.size() ? digit_value(url[i + 1]) : -1;
    const int low = high >= 0 ? digit_value(url[i + 2]) : -1;
    if (low >= 0) {
      path += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      path += url[i];
    }
  }
  return path;
}

}  // namespace opi::git
