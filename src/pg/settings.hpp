#pragma once
/// @file
/// How to reach one PostgreSQL server and how to pool its connections: plain values, no I/O.

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/secret_string.hpp"

namespace opi::pg {

/// TLS as libpq's sslmode names it.
enum class TlsMode { disable, prefer, require, verify_ca, verify_full };

/// Whether the password's proof (SCRAM) is bound to the TLS session, so that nobody in the middle can pass it on.
enum class ChannelBinding {
  disable,
  prefer,
  require,  ///< the server must ask for such a proof; needs TLS
};

/// Gives the password at each dial, so that it can be rotated while running. Called on the blocking pool; must be safe
/// from any thread. An error ends that dial as ErrorKind::unavailable.
using PasswordProvider = std::function<Result<SecretString>()>;

struct HostPort {
  std::string host;  ///< name, address, or an absolute directory for a unix socket
  std::uint16_t port = 5432;
  friend bool operator==(const HostPort&, const HostPort&) = default;
};

/// Which servers of a cluster will do, as libpq's target_session_attrs names them. Our sessions pin
/// default_transaction_read_only, so a server that is no standby takes writes: read_write is primary, read_only is
/// standby, where read_only also pins its sessions to reading whatever becomes of their server.
enum class SessionTarget { any, read_write, read_only, primary, standby, prefer_standby };
std::string_view to_string(SessionTarget target) noexcept;

/// What a server is in its cluster.
enum class HostRole : std::uint8_t { unknown, primary, standby };
std::string_view to_string(HostRole role) noexcept;

/// Whether a server of this role will do; second_best: where nothing better is there.
enum class Fit { good, second_best, none };
Fit fit_of(SessionTarget target, HostRole role) noexcept;

/// In which order the hosts of a cluster are tried.
enum class HostOrder {
  listed,    ///< as they are written: the first that will do
  balanced,  ///< the one that has the fewest of the pool's connections first; at random among equals
};

/// One server, or several hosts of one cluster.
struct ServerSettings {
  std::vector<HostPort> hosts;
  SessionTarget target = SessionTarget::any;
  HostOrder host_order = HostOrder::listed;
  /// How long it is believed that a server is a primary or a standby; for targets other than `any`. Idle connections
  /// are asked again before they are lent.
  std::chrono::milliseconds role_recheck{10'000};
  std::string user;
  std::string database;
  PasswordProvider password = {};  ///< empty: none is sent
  TlsMode tls = TlsMode::prefer;
  std::string tls_ca_file = {};  ///< empty: the system's; read at each dial, so a file that was replaced is used
  ChannelBinding channel_binding = ChannelBinding::prefer;
  std::string application_name = "opi";
  std::chrono::milliseconds connect_timeout{10'000};    ///< of one dial, all hosts and authentication included
  std::chrono::milliseconds statement_timeout{60'000};  ///< pinned in the startup packet; 0: none
  std::chrono::milliseconds lock_timeout{30'000};
  std::chrono::milliseconds idle_in_transaction_timeout{60'000};
  /// Further startup options, name and value; may not repeat a pin.
  std::vector<std::pair<std::string, std::string>> options = {};
  /// False: `role` and `search_path` are left to the server's settings for the user, as any other client has it. For
  /// proving that a login works as its user will find it; never for an admin.
  bool pin_role_and_path = true;
};

/// What happens to a connection that comes back.
enum class ResetProfile { always, smart, never };

/// Which idle connection is lent next.
enum class ReuseOrder {
  last,         ///< the one that came back last: those that the load does not need really go idle
  round_robin,  ///< the one that has been idle longest: all are used alike
};

struct PoolSettings {
  std::uint32_t min = 2;              ///< kept open
  std::uint32_t max = 10;             ///< never more: idle + used + dialing + closing
  std::uint32_t max_waiting = 1'000;  ///< waiters beyond it fail with queue_full
  std::chrono::milliseconds acquire_timeout{30'000};
  std::chrono::milliseconds max_lifetime{30 * 60'000};  ///< 0: none; of connections made from now on
  double lifetime_jitter = 0.2;                         ///< each connection lives up to that share shorter
  std::chrono::milliseconds idle_timeout{10 * 60'000};  ///< idle above min this long are closed; 0: none
  std::chrono::milliseconds ping_after_idle{30'000};    ///< checked on acquire when idle longer; 0: never
  std::chrono::milliseconds ping_timeout{1'000};
  std::chrono::milliseconds leak_after{60'000};  ///< report a lease held longer; 0: never
  std::uint64_t max_uses = 0;                    ///< closed after so many leases; 0: never
  std::chrono::milliseconds give_up_after{0};    ///< PoolHooks::gave_up after an outage of so long; 0: never
  ReuseOrder reuse = ReuseOrder::last;
  ResetProfile reset = ResetProfile::smart;
  friend bool operator==(const PoolSettings&, const PoolSettings&) = default;
};

/// Everything a pool needs.
struct PoolConfig {
  std::string name;
  ServerSettings server;
  PoolSettings pool;
};

/// "host:port", "[address]:port" for IPv6, or the directory of a unix socket.
std::string to_string(const HostPort& host);

/// ErrorKind::invalid, naming the field and what to do, for settings that can never work: no host, no user, a NUL byte,
/// an option that repeats a pin, max 0, min above max …
Result<> validate(const ServerSettings& server);
Result<> validate(const PoolConfig& config);

/// What every session of ours pins in its startup packet, so that nothing a tenant plants (settings of roles and
/// databases, search paths, operators) can steer it: role=none, search_path=pg_catalog,pg_temp,
/// standard_conforming_strings=on, client_encoding=UTF8, the timeouts, default_transaction_read_only=off (on for
/// SessionTarget::read_only), row_security=on, DateStyle=ISO, bytea_output=hex (our values are read in that form).
/// Returned as name and value in the order sent.
std::vector<std::pair<std::string, std::string>> startup_pins(const ServerSettings& server);

}  // namespace opi::pg
