#include "cli/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/secret_string.hpp"

namespace opi::cli {
namespace {

constexpr std::size_t piece_bytes = std::size_t{256} << 10U;

Error file_error(const std::string& what, const std::string& path, int why) {
  const ErrorKind kind = why == ENOENT                   ? ErrorKind::not_found
                         : why == EACCES || why == EPERM ? ErrorKind::denied
                         : why == EEXIST                 ? ErrorKind::conflict
                                                         : ErrorKind::internal;
  return system_error(kind, fmt::format("cannot {} {}", what, path), why);
}

/// A file beside another one, that is removed unless it took its place.
class Beside {
 public:
  explicit Beside(const std::string& path) : name_(path + ".XXXXXX"), file_(::mkstemp(name_.data())) {}
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;
  ~Beside() {
    if (file_.get() >= 0 && !moved_) ::unlink(name_.c_str());
  }
  int get() const noexcept { return file_.get(); }
  bool move_to(const std::string& path) {
    moved_ = ::rename(name_.c_str(), path.c_str()) == 0;
    return moved_;
  }

 private:
  std::string name_;
  Descriptor file_;
  bool moved_ = false;
};

}  // namespace

Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)), owned_(other.owned_) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    owned_ = other.owned_;
  }
  return *this;
}

void Descriptor::close() noexcept {
  if (owned_ && fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<Descriptor> open_input(const std::string& path) {
  if (path.empty() || path == "-") return Descriptor(STDIN_FILENO, false);
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return failure(file_error("read", path, errno));
  return file;
}

Result<> each_piece(int fd, const std::function<Result<>(std::string_view)>& take) {
  std::string buffer(piece_bytes, '\0');
  Result<> result;
  while (result) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) result = failure(system_error(ErrorKind::internal, "cannot read the input", errno));
    if (count <= 0) break;
    result = take(std::string_view(buffer).substr(0, static_cast<std::size_t>(count)));
  }
  wipe(buffer);
  return result;
}

Result<std::string> read_all(int fd, std::size_t most) {
  std::string all;
  const auto read = each_piece(fd, [&](std::string_view piece) -> Result<> {
    if (all.size() + piece.size() > most) {
      return failure(ErrorKind::exhausted, fmt::format("the input has more than {} bytes", most));
    }
    all.append(piece);
    return {};
  });
  if (!read) return failure(read.error());
  return all;
}

Result<std::string> read_file(const std::string& path, std::size_t most) {
  const auto file = open_input(path);
  if (!file) return failure(file.error());
  auto text = read_all(file->get(), most);
  if (!text) return failure(std::move(text.error()).while_doing("cannot read " + path));
  return text;
}

Result<> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failure(system_error(ErrorKind::internal, "cannot write the output", errno));
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Result<> Output::open() {
  if (open_) return {};
  open_ = true;
  if (is_standard()) {
    file_ = Descriptor(STDOUT_FILENO, false);
    return {};
  }
  file_ = Descriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file_.get() < 0) return failure(file_error("write", path_, errno));
  return {};
}

Result<> Output::write(std::string_view bytes) {
  if (bytes.empty()) return {};
  if (auto opened = open(); !opened) return opened;
  return write_all(file_.get(), bytes);
}

Result<> Output::finish() {
  if (auto opened = open(); !opened) return opened;
  file_.close();
  return {};
}

Result<> write_new_private_file(const std::string& path, std::string_view bytes) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file.get() < 0) return failure(file_error("make", path, errno));
  return write_all(file.get(), bytes);
}

Result<> replace_file(const std::string& path, std::string_view bytes) {
  struct stat old{};
  const bool there = ::stat(path.c_str(), &old) == 0;
  Beside fresh(path);
  if (fresh.get() < 0) return failure(file_error("write beside", path, errno));
  if (auto written = write_all(fresh.get(), bytes); !written) return written;
  const mode_t mode = there ? old.st_mode & 07777U : 0644U;
  if (::fchmod(fresh.get(), mode) != 0 || ::fsync(fresh.get()) != 0 || !fresh.move_to(path)) {
    return failure(file_error("replace", path, errno));
  }
  return {};
}

}  // namespace opi::cli
