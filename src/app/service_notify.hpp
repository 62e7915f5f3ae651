#pragma once
/// @file
/// Tells systemd how the service is doing (sd_notify's protocol, see systemd's sd_notify(3)).

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace opi::app {

/// Sends datagrams to the socket that systemd named in NOTIFY_SOCKET; does nothing when there is none.
/// Threading: any. Errors: a datagram that cannot be sent is dropped; the service runs all the same.
class ServiceNotify {
 public:
  /// Reads NOTIFY_SOCKET and WATCHDOG_USEC of this process.
  static ServiceNotify from_environment();
  /// To the given socket: a path, or an abstract name that starts with '@'; empty: nowhere.
  explicit ServiceNotify(std::string socket, std::optional<std::chrono::microseconds> watchdog = {});

  void ready(std::string_view status) const { send("READY=1\nSTATUS=" + std::string(status)); }
  void stopping() const { send("STOPPING=1"); }
  void reloading() const { send("RELOADING=1"); }
  void watchdog() const { send("WATCHDOG=1"); }

  /// How often the watchdog wants to hear from us: half of WATCHDOG_USEC; none when it is off.
  std::optional<std::chrono::microseconds> watchdog_interval() const noexcept { return watchdog_; }

 private:
  void send(const std::string& message) const;
  std::string socket_;
  std::optional<std::chrono::microseconds> watchdog_;
};

}  // namespace opi::app
