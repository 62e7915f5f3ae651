#include "app/settings.hpp"

#include <algorithm>
#include <utility>

#include "app/file_text.hpp"

namespace opi::app {

std::string Origin::to_string() const {
  switch (source) {
    case Source::by_default: return "default";
    case Source::file: return place.to_string();
    case Source::environment: return "environment variable " + variable;
  }
  return "default";
}

Result<SecretString> SecretSetting::read() const {
  constexpr std::size_t secret_bytes_max = 64U << 10U;
  if (bytes != nullptr) return bytes->copy();
  if (file->empty()) return failure(ErrorKind::not_found, "no secret is given");
  const auto wrong = [this](Error why) { return failure(std::move(why).while_doing("the secret in " + *file)); };
  auto text = read_small_file(*file, secret_bytes_max);
  if (!text) return wrong(std::move(text.error()));
  if (text->ends_with('\n')) text->pop_back();
  if (text->ends_with('\r')) text->pop_back();
  if (text->empty()) return wrong({ErrorKind::invalid, "is empty"});
  if (text->find('\0') != std::string::npos) {
    wipe(*text);
    return wrong({ErrorKind::invalid, "has a zero byte in it"});
  }
  return SecretString::take(std::move(*text));
}

std::string SecretSetting::origin_text() const {
  if (bytes != nullptr || file->empty()) return origin.to_string();
  return "file " + *file + ", named by " + file.origin.to_string();
}

bool DatabaseSettings::open_to(std::string_view project) const noexcept {
  return std::ranges::any_of(*projects, [project](const std::string& name) { return name == "*" || name == project; });
}

}  // namespace opi::app
