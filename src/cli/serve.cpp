#include "cli/serve.hpp"

#include <iostream>
#include <memory>
#include <utility>

#include "aio/task_scope.hpp"
#include "app/log_sink.hpp"
#include "app/stop_signal.hpp"
#include "cli/config.hpp"
#include "cli/event_loop.hpp"

namespace opi::cli {

namespace {

void complain(const Error& error) {
  std::cerr << "opi: " << error.to_string() << '\n';
}

struct Outcome {
  Result<> started = failure(ErrorKind::cancelled, "stopped while starting");
};

Task<> start(app::Application* application, app::StopSignal* stop, std::shared_ptr<Outcome> outcome,
             std::function<void(app::Application&)> on_serving) {
  outcome->started = co_await application->start();
  if (!outcome->started) {
    stop->request();
  } else if (on_serving) {
    on_serving(*application);
  }
}

// From start to stop. A signal while starting cancels the start; the stop that follows undoes what was started.
Task<int> run(app::Application* application, Logger log, std::function<void(app::Application&)> on_serving) {
  const auto executor = application->services().executor();
  app::StopSignal stop(executor, log);
  aio::TaskScope signals(executor, log, "signals");
  aio::TaskScope starting(executor, log, "start");
  auto outcome = std::make_shared<Outcome>();
  signals.spawn("signals", stop.listen([application] { application->reload(); }));
  starting.spawn("start", start(application, &stop, outcome, std::move(on_serving)));
  co_await stop.wait();
  application->begin_drain();
  starting.cancel();
  co_await starting.join();
  const auto stopped = co_await application->stop();
  signals.cancel();
  co_await signals.join();
  int code = exit_done;
  if (!outcome->started && outcome->started.error().kind != ErrorKind::cancelled) {
    complain(outcome->started.error());
    code = exit_failed;
  }
  if (!stopped) {
    complain(stopped.error());
    code = exit_failed;
  }
  co_return code;
}

}  // namespace

int serve(app::Settings settings, std::function<void(app::Application&)> on_serving) {
  const auto sink = app::make_log_sink(*settings.log.format, *settings.log.level);
  EventLoop loop;
  auto application = app::Application::create(loop.executor(), std::move(settings), sink.get());
  if (!application) {
    complain(application.error());
    return exit_configuration;
  }
  return loop.run(run(application->get(), Logger(*sink, "opi"), std::move(on_serving)));
}

int run_serve(const std::string& config, const app::Environment& environment) {
  auto settings = load_or_explain(config, environment, std::cerr);
  if (!settings) return exit_configuration;
  return serve(std::move(*settings), {});
}

}  // namespace opi::cli
