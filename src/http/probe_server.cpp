#include "http/probe_server.hpp"

#include <pthread.h>
#include <signal.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <exception>
#include <thread>
#include <utility>

namespace opi::http {

namespace {

Task<Response> livez(Request) {
  co_return Response{.body = "ok\n"};
}

Task<Response> healthz(BuildInfo build) {
  co_return json_response(boost::json::object{{"status", "ok"}, {"version", build.version}, {"commit", build.commit}});
}

Task<Response> readyz(std::function<Readiness()> readiness) {
  const Readiness now = readiness();
  co_return json_response(readiness_json(now), now.ready ? 200 : 503);
}

Router probe_routes(const BuildInfo& build, const std::function<Readiness()>& readiness) {
  std::vector<Route> routes;
  routes.push_back({Method::get, "/livez", Access::anyone, "the process lives", livez});
  routes.push_back({Method::get, "/readyz", Access::anyone, "the application can do its work",
                    [readiness](Request) { return readyz(readiness); }});
  routes.push_back({Method::get, "/healthz", Access::anyone, "the process lives, and which version it is",
                    [build](Request) { return healthz(build); }});
  return Router{std::move(routes)};
}

/// Probes are short, and anybody may reach them: tight limits.
constexpr ServerLimits probe_limits{.header_bytes = 8U << 10U,
                                    .body_bytes = 0,
                                    .header_time = std::chrono::milliseconds{5'000},
                                    .body_time = std::chrono::milliseconds{5'000},
                                    .write_time = std::chrono::milliseconds{5'000},
                                    .idle_time = std::chrono::milliseconds{30'000},
                                    .requests_per_connection = 1'000,
                                    .connections = 64};

Task<> stop_server(Server* server, SteadyTime deadline) {
  (void)co_await server->stop(deadline);
}

}  // namespace

struct ProbeServer::Running {
  Running(Router routes, const Logger& log)
      : context(1), server(context.get_executor(), std::move(routes), probe_limits, log) {}
  asio::io_context context;  // 1: one thread runs it
  Server server;
  std::thread thread;
};

ProbeServer::ProbeServer(ListenAddress where, BuildInfo build, std::function<Readiness()> readiness, Logger log)
    : where_(std::move(where)), build_(std::move(build)), readiness_(std::move(readiness)), log_(std::move(log)) {}

ProbeServer::~ProbeServer() {
  stop(system_clock().steady());
}

Result<std::uint16_t> ProbeServer::start() {
  if (running_) return failure(ErrorKind::conflict, "the probes are started already");
  auto running = std::make_unique<Running>(probe_routes(build_, readiness_), log_);
  const auto port = running->server.listen(where_);
  if (!port) {
    // The server must see its own end; nothing runs the context yet, so this does.
    asio::co_spawn(running->context, stop_server(&running->server, system_clock().steady()), [](std::exception_ptr) {});
    running->context.run();
    return port;
  }
  port_ = *port;
  // Signals belong to the main thread; a thread inherits the mask of its creator.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  running->thread = std::thread([context = &running->context] { context->run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  running_ = std::move(running);
  return port_;
}

void ProbeServer::stop(SteadyTime deadline) noexcept {
  if (!running_) return;
  asio::co_spawn(running_->context, stop_server(&running_->server, deadline), [](std::exception_ptr) {});
  running_->thread.join();  // run() returns when the server has ended
  running_.reset();
}

}  // namespace opi::http
