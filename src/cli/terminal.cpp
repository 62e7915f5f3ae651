#include "cli/terminal.hpp"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "cli/files.hpp"

namespace opi::cli {
namespace {

constexpr std::size_t line_bytes_max = 4096;

/// Nothing that is typed shows while this lives.
class EchoOff {
 public:
  explicit EchoOff(int fd) : fd_(fd) {
    if (::tcgetattr(fd_, &before_) != 0) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    quiet.c_lflag |= ECHONL | ICANON | ISIG;
    changed_ = ::tcsetattr(fd_, TCSAFLUSH, &quiet) == 0;
  }
  EchoOff(const EchoOff&) = delete;
  EchoOff& operator=(const EchoOff&) = delete;
  ~EchoOff() {
    if (changed_) ::tcsetattr(fd_, TCSAFLUSH, &before_);
  }

 private:
  int fd_;
  termios before_{};
  bool changed_ = false;
};

Descriptor open_terminal() {
  return Descriptor(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
}

}  // namespace

Result<SecretString> ask_secret(std::string_view question) {
  const Descriptor terminal = open_terminal();
  if (terminal.get() < 0) {
    return failure(Error(ErrorKind::unavailable, "a passphrase is asked for on the terminal, and there is none"));
  }
  const EchoOff quiet(terminal.get());
  if (auto asked = write_all(terminal.get(), question); !asked) return failure(std::move(asked.error()));
  std::string line;
  line.reserve(line_bytes_max);  // no growth: nothing is left unwiped
  while (line.size() < line_bytes_max) {
    char c = 0;
    const ssize_t count = ::read(terminal.get(), &c, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      wipe(line);
      return failure(ErrorKind::cancelled, "the terminal was closed before a passphrase was given");
    }
    if (c == '\n') break;
    line.push_back(c);
  }
  if (line.ends_with('\r')) line.pop_back();
  return SecretString::take(std::move(line));
}

void tell_terminal(std::string_view text) {
  const Descriptor terminal = open_terminal();
  (void)write_all(terminal.get() < 0 ? STDERR_FILENO : terminal.get(), text);
}

}  // namespace opi::cli
