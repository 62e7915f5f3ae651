#include "base/secret_string.hpp"

#include <cstring>
#include <utility>

namespace opi {

void wipe(void* data, std::size_t size) noexcept {
  if (size != 0) explicit_bzero(data, size);
}

void wipe(std::string& text) noexcept {
  text.resize(text.capacity());
  wipe(text.data(), text.size());
  text.clear();
}

SecretString::SecretString(std::string_view bytes)
    : bytes_(std::make_unique_for_overwrite<char[]>(bytes.size() + 1)), size_(bytes.size()) {
  std::memcpy(bytes_.get(), bytes.data(), bytes.size());
  bytes_[size_] = '\0';
}

SecretString SecretString::take(std::string&& bytes) {
  std::string taken = std::move(bytes);
  SecretString secret{taken};
  wipe(taken);
  wipe(bytes);  // NOLINT(bugprone-use-after-move): a short string leaves its bytes behind in the moved-from object
  return secret;
}

SecretString::SecretString(SecretString&& other) noexcept
    : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}

SecretString& SecretString::operator=(SecretString&& other) noexcept {
  if (this != &other) {
    if (bytes_) wipe(bytes_.get(), size_);
    bytes_ = std::move(other.bytes_);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

SecretString::~SecretString() {
  if (bytes_) wipe(bytes_.get(), size_);
}

bool SecretString::equals(std::string_view other) const noexcept {
  const std::string_view mine = reveal();
  if (mine.size() != other.size()) return false;
  unsigned char difference = 0;
  for (std::size_t i = 0; i < mine.size(); ++i) {
    difference = static_cast<unsigned char>(
        difference | (static_cast<unsigned char>(mine[i]) ^ static_cast<unsigned char>(other[i])));
  }
  return difference == 0;
}

}  // namespace opi
