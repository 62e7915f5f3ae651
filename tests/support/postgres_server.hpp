#pragma once
/// @file
/// A private throw-away PostgreSQL server for tests.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pg/settings.hpp"

namespace opi::test {

/// What a test wants of its server.
struct PostgresOptions {
  int version = 0;  ///< 14, 16 or 18: one of tests/support/postgres, which scripts/test_postgres installs; 0: Debian's
  int max_connections = 60;
  /// Offers TLS with a certificate of its own for "localhost", signed by itself: `certificate_path()`.
  bool tls = false;
  /// Further settings, as `postgres -c name=value` takes them.
  std::vector<std::pair<std::string, std::string>> settings = {};
  /// Can have standbys, and be one.
  bool replicates = false;
};

class PostgresServer;

/// Of a server that `replicates` and runs.
struct StandbyOf {
  const PostgresServer* primary;
};

/// How PostgreSQL is told to stop.
enum class PostgresStop {
  fast,       ///< SIGINT: sessions are ended, then a clean shutdown
  immediate,  ///< SIGQUIT: as if it had crashed
};

/// One server with its own data, port (127.0.0.1) and socket directory. A cluster is initialised once per machine and
/// user, then copied.
///
/// Runs as user `postgres` when the tests run as root, as ourselves otherwise. Authentication is scram-sha-256
/// everywhere. Ownership: ends its server and removes its folder when destroyed; a watcher does both when the test
/// program dies. Threading: one thread at a time; start and stop it from the thread that made it (its death signal
/// follows that thread). Errors: std::runtime_error with the end of the server's log.
class PostgresServer {
 public:
  explicit PostgresServer(PostgresOptions options = {});
  /// A streaming standby: a base backup that follows.
  explicit PostgresServer(StandbyOf standby);
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  /// The one of this test program, started at the first call. Do not stop this one: others use it.
  static PostgresServer& shared(int version = 0);

  std::string host() const { return "127.0.0.1"; }
  std::uint16_t port() const noexcept { return port_; }
  std::string socket_directory() const { return (folder_ / "socket").string(); }
  std::string superuser() const { return "postgres"; }
  const std::string& password() const noexcept { return password_; }
  std::filesystem::path log_path() const { return folder_ / "server.log"; }
  /// With PostgresOptions::tls: what verifies this server.
  std::filesystem::path certificate_path() const { return folder_ / "server.crt"; }
  /// Everything the server has logged so far; statements are logged (except those of the functions below).
  std::string log_text() const;
  /// The process of the server; 0 when stopped.
  pid_t pid() const noexcept { return pid_; }

  /// Settings that log in over TCP: as the superuser, or as `user` with `password`.
  pg::ServerSettings server_settings(std::string database = "postgres") const;
  pg::ServerSettings server_settings(std::string database, std::string user, std::string password) const;

  /// Runs `sql` (one or more statements) as the superuser.
  void execute_as_superuser(const std::string& sql, const std::string& database = "postgres") const;
  /// The first column of the first row, "" when there is none or it is NULL.
  std::string query_as_superuser(const std::string& sql, const std::string& database = "postgres") const;
  /// Creates an empty database and returns its name, which no other test has: `prefix` and a number.
  std::string create_database(const std::string& prefix = "test");

  void stop(PostgresStop how = PostgresStop::fast);
  /// On the same port with the same data; returns when it accepts connections.
  void start();
  void restart(PostgresStop how = PostgresStop::fast);
  /// Of a standby: makes it a primary; returns when it is one.
  void promote() const;

 private:
  void make_folder_and_watcher();
  void start_first_time();
  void make_certificate();
  void spawn_postgres();
  bool wait_until_ready();
  [[noreturn]] void fail(std::string_view what) const;

  PostgresOptions options_;
  std::filesystem::path folder_;
  std::string password_;
  std::uint16_t port_ = 0;
  pid_t pid_ = 0;
  int pidfd_ = -1;
  int watcher_pipe_ = -1;
  pid_t watcher_pid_ = 0;
  int databases_ = 0;
};

/// The directory of PostgreSQL's server programs (initdb, postgres): of the highest version that Debian's packages have
/// installed, or of `version` as PostgresOptions has it, where the servers' user can reach it.
std::filesystem::path postgres_program_directory(int version = 0);

}  // namespace opi::test
