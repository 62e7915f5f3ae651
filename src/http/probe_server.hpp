#pragma once
/// @file
/// /livez, /readyz and /healthz on a thread and a port of their own, so that nothing that blocks the application can
/// make an orchestrator believe that it is dead.

#include <cstdint>
#include <functional>
#include <memory>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "http/readiness.hpp"
#include "http/server.hpp"

namespace opi::http {

/// GET /livez: 200 "ok" while the thread lives, whatever else is wrong.
/// GET /readyz: 200 or 503 with readiness_json().
/// GET /healthz: 200, {"status": "ok", "version": …, "commit": …}; depends on nothing either.
///
/// Ownership: owns its thread; the destructor stops it. Threading: start and stop from one thread; `readiness` is
/// called on the probe thread, so it must be safe there, without I/O and without waiting.
class ProbeServer {
 public:
  ProbeServer(ListenAddress where, BuildInfo build, std::function<Readiness()> readiness, Logger log);
  ~ProbeServer();
  ProbeServer(const ProbeServer&) = delete;
  ProbeServer& operator=(const ProbeServer&) = delete;

  /// Binds and starts the thread; when it returns, the probes answer. Errors as Server::listen; conflict when called
  /// twice.
  Result<std::uint16_t> start();
  /// Finishes the answers that are being sent, at most until the deadline, and joins the thread. Blocking, in practice
  /// for microseconds. Idempotent.
  void stop(SteadyTime deadline) noexcept;

  /// After start().
  std::uint16_t port() const noexcept { return port_; }

 private:
  struct Running;
  ListenAddress where_;
  BuildInfo build_;
  std::function<Readiness()> readiness_;
  Logger log_;
  std::unique_ptr<Running> running_;
  std::uint16_t port_ = 0;
};

}  // namespace opi::http
