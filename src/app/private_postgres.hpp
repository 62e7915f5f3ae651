#pragma once
/// @file
/// A PostgreSQL server of our own: made when it is missing, started when nobody runs it, stopped with us.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "aio/child_process.hpp"
#include "aio/task.hpp"
#include "aio/task_scope.hpp"
#include "app/server_account.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"

namespace opi::app {

/// What to run and where.
struct PrivatePostgresSettings {
  std::filesystem::path directory;  ///< of the data; made when missing, or linked from there (see place_for)
  std::uint16_t port = 0;           ///< on 127.0.0.1
  std::string superuser = "opi_admin";
  std::filesystem::path password_file;  ///< the superuser's; exists
  std::filesystem::path system_state = "/var/lib/opi";
  std::filesystem::path binaries = {};  ///< folder of initdb and postgres; empty: looked for
};

/// A running server, as its postmaster.pid says (PostgreSQL's documentation, "postmaster.pid").
struct RunningPostgres {
  int pid = 0;
  std::uint16_t port = 0;
  bool ready = false;
};

/// The server that runs on `data`, if its process lives.
std::optional<RunningPostgres> running_postgres(const std::filesystem::path& data);

/// The folder of initdb and postgres: of `major` ("15") when given, else of the newest. Errors: not_found, with what to
/// install.
Result<std::filesystem::path> postgres_binaries(std::optional<std::string> major);

/// A port of 127.0.0.1 that is free now: `preferred` when it is.
Result<std::uint16_t> free_port(std::uint16_t preferred);

/// Ownership: owns the server process that it started; one that another process of ours started on the same data is
/// used and left alone, and replaced when it goes away. Threading: one executor's thread, which must be the main thread
/// (the server ends when the thread that started it ends). Cancellation: of `start` ends what it started.
class PrivatePostgres {
 public:
  PrivatePostgres(asio::any_io_executor executor, PrivatePostgresSettings settings, Logger log);
  ~PrivatePostgres();

  /// Makes the data (initdb) when there is none, starts the server when none runs on it, returns when it accepts
  /// connections, and keeps it running from then on. Errors: not_found (no server binaries, no user), conflict (data of
  /// another PostgreSQL version, port in use), denied (read-only disk, rights), timed_out.
  Task<Result<>> start(SteadyTime deadline);
  /// Fast shutdown of the server that we started; SIGKILL at the deadline. Idempotent.
  Task<Result<>> stop(SteadyTime deadline);

  /// "15.20", once started.
  const std::string& version() const noexcept { return version_; }
  bool initialised_now() const noexcept { return initialised_now_; }
  /// The folder that really holds the data.
  const std::filesystem::path& home() const noexcept { return home_; }

 private:
  Task<Result<>> prepare(SteadyTime deadline);
  Task<Result<>> initialise(SteadyTime deadline);
  Task<Result<>> launch(SteadyTime deadline);
  Result<> spawn_server();
  Task<> watch_server();
  Task<> keep_running();
  void reap_server();
  Error start_failure() const;

  asio::any_io_executor executor_;
  PrivatePostgresSettings settings_;
  Logger log_;
  aio::TaskScope tasks_;
  ServerAccount account_;
  std::filesystem::path home_;
  std::filesystem::path binaries_;
  std::string version_;
  bool initialised_now_ = false;
  std::optional<aio::ChildProcess> server_;  ///< the one that we started
  bool server_ended_ = false;                ///< it is a zombie to reap
  std::string early_output_;                 ///< what it said before its log file was open
};

}  // namespace opi::app
