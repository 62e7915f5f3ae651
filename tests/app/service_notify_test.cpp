#include "app/service_notify.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>

namespace opi::app {
namespace {

// systemd's end: a datagram socket with an abstract name, which needs no file.
class Listener {
 public:
  Listener() : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    // Binding with no name at all lets the kernel choose a free abstract one.
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(sa_family_t)), 0);
    socklen_t length = sizeof address;
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length), 0);
    name_ = "@" + std::string(address.sun_path + 1, length - offsetof(sockaddr_un, sun_path) - 1);
  }
  ~Listener() { ::close(fd_); }
  const std::string& name() const { return name_; }
  std::string receive() const {
    std::array<char, 512> buffer{};
    const auto size = ::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    return size < 0 ? "nothing" : std::string(buffer.data(), static_cast<std::size_t>(size));
  }

 private:
  int fd_;
  std::string name_;
};

TEST(ServiceNotify, SaysReadyStoppingAndThatItIsAlive) {
  const Listener systemd;
  const ServiceNotify notify(systemd.name());
  notify.ready("serving");
  EXPECT_EQ(systemd.receive(), "READY=1\nSTATUS=serving");
  notify.stopping();
  EXPECT_EQ(systemd.receive(), "STOPPING=1");
  notify.watchdog();
  EXPECT_EQ(systemd.receive(), "WATCHDOG=1");
}

TEST(ServiceNotify, IsSilentWithoutASystemd) {
  const Listener systemd;
  ServiceNotify("").ready("serving");
  EXPECT_EQ(systemd.receive(), "nothing");
}

TEST(ServiceNotify, SurvivesASocketThatIsNotThere) {
  ServiceNotify("/nonexistent/notify").ready("serving");
}

TEST(ServiceNotify, BeatsAtHalfTheWatchdogsTime) {
  ::setenv("NOTIFY_SOCKET", "@opi-test", 1);
  ::setenv("WATCHDOG_USEC", "3000000", 1);
  EXPECT_EQ(ServiceNotify::from_environment().watchdog_interval(), std::chrono::microseconds{1'500'000});
  ::setenv("WATCHDOG_USEC", "soon", 1);
  EXPECT_EQ(ServiceNotify::from_environment().watchdog_interval(), std::nullopt);
  ::unsetenv("NOTIFY_SOCKET");
  ::unsetenv("WATCHDOG_USEC");
}

}  // namespace
}  // namespace opi::app
