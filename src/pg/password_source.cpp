#include "pg/password_source.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace opi::pg {
namespace {

constexpr std::size_t password_bytes_max = 64U << 10U;

class OpenFile {
 public:
  // O_NONBLOCK: a fifo in its place must not hang us.
  explicit OpenFile(const std::string& path) noexcept
      : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {}
  ~OpenFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int get() const noexcept { return descriptor_; }

 private:
  int descriptor_;
};

std::unexpected<Error> cannot_read(const std::string& path) {
  const int number = errno;
  const ErrorKind kind = number == ENOENT || number == ENOTDIR ? ErrorKind::not_found
                         : number == EACCES || number == EPERM ? ErrorKind::denied
                                                               : ErrorKind::unavailable;
  return failure(system_error(kind, "cannot read the password file " + path, number));
}

std::unexpected<Error> unusable(const std::string& path, std::string_view why) {
  return failure(ErrorKind::invalid, fmt::format("the password file {} {}", path, why));
}

Result<SecretString> read_password(const std::string& path) {
  const OpenFile file(path);
  if (file.get() < 0) return cannot_read(path);
  struct stat about{};
  if (::fstat(file.get(), &about) != 0) return cannot_read(path);
  if (!S_ISREG(about.st_mode)) return unusable(path, "is not a regular file");
  std::string text(password_bytes_max + 3, '\0');  // a line break may follow
  std::size_t size = 0;
  for (ssize_t got = 1; got != 0 && size < text.size(); size += static_cast<std::size_t>(got)) {
    do {
      got = ::read(file.get(), text.data() + size, text.size() - size);
    } while (got < 0 && errno == EINTR);
    if (got >= 0) continue;
    auto error = cannot_read(path);
    wipe(text);
    return error;
  }
  std::string_view password(text.data(), size);
  if (password.ends_with('\n')) password.remove_suffix(1);
  if (password.ends_with('\r')) password.remove_suffix(1);
  Result<SecretString> result = password.empty()                       ? unusable(path, "is empty")
                                : password.size() > password_bytes_max ? unusable(path, "has more than 64 KiB")
                                : password.contains('\0')              ? unusable(path, "has a NUL byte in it")
                                                                       : Result<SecretString>(SecretString(password));
  wipe(text);
  return result;
}

}  // namespace

PasswordProvider password_from_file(std::string path) {
  return [path = std::move(path)] { return read_password(path); };
}

PasswordProvider fixed_password(SecretString password) {
  return [shared = std::make_shared<const SecretString>(std::move(password))]() -> Result<SecretString> {
    return shared->copy();
  };
}

}  // namespace opi::pg
