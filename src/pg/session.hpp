#pragma once
/// @file
/// The inside of a Connection: one libpq session, its socket's watch, its statements and what it knows of its own
/// state.

#include <libpq-fe.h>

#include <functional>
#include <memory>
#include <string>

#include "pg/connection.hpp"
#include "pg/dial.hpp"
#include "pg/socket_watch.hpp"
#include "pg/statement_cache.hpp"

namespace opi::pg {

/// One operation at a time; coroutines resume on their caller's executor. The object stays where it is until its end.
class Session {
 public:
  Session(asio::any_io_executor executor, Dialed dialed, aio::BlockingPool* blocking);
  /// Closes the socket at once.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Task<Result<ResultSet>> query(std::string sql, Params params);
  Task<Result<ResultSet>> query_prepared(std::string sql, Params params);
  Task<Result<ResultSet>> execute(std::string sql);
  Task<Result<>> ping(SteadyTime deadline);
  Task<Result<>> reset(ResetProfile profile, SteadyTime deadline);
  Task<> close(SteadyTime deadline);

  bool needs_reset(ResetProfile profile) const noexcept;
  bool check_idle() noexcept;
  void on_notice(std::function<void(const Notice&)> handler) { notice_ = std::move(handler); }
  void on_idle_event(std::shared_ptr<const std::function<void()>> handler) { watch_.on_idle_event(std::move(handler)); }

  bool open() const noexcept { return static_cast<bool>(handle_); }
  bool broken() const noexcept { return end_ != End::none || !handle_; }
  bool ended_by_server() const noexcept { return end_ == End::server; }
  PGconn* native() const noexcept { return handle_.get(); }
  const std::string& peer() const noexcept { return peer_; }
  std::uint64_t statements_run() const noexcept { return statements_run_; }

 private:
  enum class End {
    none,
    server,     ///< lost, or ended by the server
    abandoned,  ///< an operation was cancelled or dropped half-way: answers are still under way
  };
  class Operation;

  bool transaction_is_open() const noexcept;
  Result<> check_usable(std::string_view sql, const Params* params) const;
  void note_effects(const StatementEffects& effects) noexcept;
  Error lost();
  Error abandoned();
  Task<Result<>> flush();
  Task<Result<>> wait_for_input();
  Task<Result<ResultSet>> collect();
  Task<Result<ResultSet>> finish(Operation* operation, int sent);
  Task<Result<ResultSet>> run_simple(std::string sql);
  Task<Result<ResultSet>> run_named(std::string name, const Params* params);
  Task<Result<>> prepare(StatementCache::Entry entry);
  void drop_notifications() noexcept;
  static void receive_notice(void* session, const PGresult* result) noexcept;

  asio::any_io_executor executor_;
  aio::BlockingPool* blocking_;
  ConnectionHandle handle_;
  std::string peer_;
  SocketWatch watch_;
  StatementCache statements_;
  std::function<void(const Notice&)> notice_;
  End end_ = End::none;
  bool running_ = false;
  bool dirty_ = false;
  bool statements_unknown_ = false;
  std::uint64_t statements_run_ = 0;
};

}  // namespace opi::pg
