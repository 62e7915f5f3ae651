#pragma once
/// @file
/// A string that is a secret: never printed, wiped when it goes, compared in constant time.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace opi {

/// Overwrites `size` bytes so that the compiler cannot leave it out.
void wipe(void* data, std::size_t size) noexcept;
/// Wipes the whole capacity of `text` and empties it.
void wipe(std::string& text) noexcept;

/// Owns the bytes of a secret. It has no stream operator and no formatter on purpose; `reveal()` is the one way
/// to the bytes and easy to grep for. Every buffer that ever held them is wiped before it is freed.
/// Copying is explicit (`copy()`). Not synchronised.
class SecretString {
 public:
  SecretString() noexcept = default;
  /// Copies the bytes; the caller still owns (and wipes) its own copy.
  explicit SecretString(std::string_view bytes);
  /// Takes the string and wipes what is left of it.
  static SecretString take(std::string&& bytes);

  SecretString(SecretString&& other) noexcept;
  SecretString& operator=(SecretString&& other) noexcept;
  SecretString(const SecretString&) = delete;
  SecretString& operator=(const SecretString&) = delete;
  ~SecretString();

  SecretString copy() const { return SecretString(reveal()); }

  /// The bytes, valid while this object lives and is not moved from. Null-terminated after the last one.
  std::string_view reveal() const noexcept { return {bytes_ ? bytes_.get() : "", size_}; }
  /// For C interfaces: the same bytes, terminated.
  const char* reveal_c_str() const noexcept { return bytes_ ? bytes_.get() : ""; }

  bool empty() const noexcept { return size_ == 0; }
  std::size_t size() const noexcept { return size_; }

  /// Takes the same time whatever the bytes are; only the lengths may show.
  friend bool operator==(const SecretString& a, const SecretString& b) noexcept { return a.equals(b.reveal()); }
  bool equals(std::string_view other) const noexcept;

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
};

}  // namespace opi
