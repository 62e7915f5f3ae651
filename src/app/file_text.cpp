#include "app/file_text.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "app/settings_values.hpp"

namespace opi::app {

namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) noexcept : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const noexcept { return number_; }

 private:
  int number_;
};

std::unexpected<Error> cannot_read(int number) {
  const ErrorKind kind = number == ENOENT || number == ENOTDIR ? ErrorKind::not_found
                         : number == EACCES || number == EPERM ? ErrorKind::denied
                                                               : ErrorKind::unavailable;
  return failure(
      Error{kind, fmt::format("cannot be read: {}", strerrordesc_np(number))}.with_code(strerrorname_np(number)));
}

}  // namespace

Result<std::string> read_small_file(const std::string& path, std::size_t bytes_max) {
  // O_NONBLOCK: a fifo in the place of the file must not hang us; it has no meaning for regular files.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  if (file.number() < 0) return cannot_read(errno);
  struct stat about{};
  if (::fstat(file.number(), &about) != 0) return cannot_read(errno);
  if (!S_ISREG(about.st_mode)) return failure(ErrorKind::invalid, "is not a regular file");
  std::string text(bytes_max + 1, '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = ::read(file.number(), text.data() + have, text.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return cannot_read(errno);
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  if (have > bytes_max) {
    return failure(ErrorKind::invalid, fmt::format("has more than {} bytes", size_text(bytes_max)));
  }
  text.resize(have);
  return text;
}

}  // namespace opi::app
