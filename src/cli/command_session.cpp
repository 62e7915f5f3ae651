#include "cli/command_session.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <utility>

#include "aio/task_scope.hpp"
#include "app/log_sink.hpp"
#include "app/projects_reader.hpp"
#include "app/settings_rooms.hpp"
#include "cli/arguments.hpp"

namespace opi::cli {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr auto read_deadline = 120s;
constexpr auto prepare_deadline = 60s;

SteadyTime in(std::chrono::seconds time) {
  return std::chrono::steady_clock::now() + time;
}

// Says what is wrong, one line each.
class Complaints {
 public:
  explicit Complaints(std::function<void()> before) : before_(std::move(before)) {}
  void operator()(const Error& error) const { line("opi: " + error.to_string()); }
  void of_file(const Error& error) const {
    Error bare = error;
    bare.place = {};
    line(fmt::format("{}: error: {}", error.place.to_string(), bare.to_string()));
  }
  void line(const std::string& text) const {
    if (before_) before_();
    std::cerr << text << '\n';
  }

 private:
  std::function<void()> before_;
};

// A mirror for one command: the daemon may be using its own at the same time.
class CommandMirror {
 public:
  CommandMirror(const app::Settings& settings, std::string_view repository)
      : path_(fmt::format("{}.{}", app::mirror_directory(settings, repository), ::getpid())) {}
  CommandMirror(const CommandMirror&) = delete;
  CommandMirror& operator=(const CommandMirror&) = delete;
  ~CommandMirror() {
    std::error_code ec;
    fs::remove_all(path_, ec);
  }
  const fs::path& path() const noexcept { return path_; }

 private:
  fs::path path_;
};

// Everything that runs between the opening of the pools and their closing.
class Session {
 public:
  Session(app::Services* services, SessionNeeds needs, SessionWork work, const Complaints* complain)
      : services_(services), needs_(needs), work_(std::move(work)), complain_(complain) {}

  const Complaints& complaints() const noexcept { return *complain_; }

  Task<int> run() {
    auto prepared = co_await services_->prepare_control(in(prepare_deadline));
    if (!prepared) {
      (*complain_)(prepared.error());
      co_return exit_failed;
    }
    bool all_good = true;
    if (needs_ == SessionNeeds::projects) {
      auto read = co_await read_files();
      if (!read) {
        (*complain_)(read.error());
        co_return exit_failed;
      }
      all_good = *read;
    }
    const int code = co_await work_(services_);
    co_return all_good ? code : exit_failed;
  }

 private:
  // False when a file is broken; each is said, and none stops another.
  Task<Result<bool>> read_files() {
    if (services_->repositories().empty()) {
      co_return failure(Error(ErrorKind::invalid, "projects.repository.url is not set")
                            .with_remedy("name the repository of project files in the configuration"));
    }
    bool all_usable = true;
    std::vector<std::string> unread;
    for (const auto& repository : services_->repositories()) {
      const CommandMirror place(services_->settings(), repository.name);
      git::Mirror mirror(services_->mirror_settings(repository, place.path()), services_->log().named("git"));
      auto read = co_await app::read_projects(repository, &mirror, &services_->projects(), {}, services_->log(),
                                              in(read_deadline));
      co_await mirror.close();
      if (!read) co_return failure(std::move(read.error()).while_doing("the project files cannot be read"));
      for (const auto& error : read->rejected) (*complain_)(error);
      all_usable = all_usable && read->rejected.empty();
      for (const auto& branch : read->branches) {
        if (branch.commit.empty()) unread.push_back(app::name_of_file(repository, branch.branch, "*"));
      }
    }
    // Of a branch that could not be read nothing may look as if it were declared nowhere. (When nothing at all is
    // declared, the brake holds.)
    if (!services_->projects().projects().empty()) {
      for (auto& name : unread)
        services_->projects().reject(name, "", "", Error(ErrorKind::not_found, name + ": the branch has no files"));
    }
    auto errors = app::project_errors(services_->projects());
    for (const auto& error : errors) complain_->of_file(error);
    co_return errors.empty() && all_usable;
  }

  app::Services* services_;
  SessionNeeds needs_;
  SessionWork work_;
  const Complaints* complain_;
};

// Runs the session as a task that a signal can cancel; the closing that follows is not cancelled.
Task<int> run_interruptible(Session* session, app::StopSignal* stop, aio::TaskScope* tasks) {
  struct Outcome {
    int code = exit_failed;
    bool ended = false;
  };
  auto outcome = std::make_shared<Outcome>();
  const auto body = [](Session* inner, std::shared_ptr<Outcome> into, app::StopSignal* done) -> Task<> {
    into->code = co_await inner->run();
    into->ended = true;
    done->request();
  };
  tasks->spawn("command", body(session, outcome, stop));
  co_await stop->wait();
  tasks->cancel();
  co_await tasks->join();
  // Work that was cancelled ends with an exception or with the error that the cancellation became.
  if (!outcome->ended || (stop->signal() && outcome->code != exit_done)) {
    session->complaints().line("opi: interrupted; what was begun is continued by the next run");
    co_return stop->signal() ? 128 + *stop->signal() : exit_failed;
  }
  co_return outcome->code;
}

Task<int> run_opened(app::Services* services, Session* session, asio::any_io_executor executor) {
  aio::Lifespan lifespan(services->foundation_phases(), services->log().named("lifespan"));
  app::StopSignal stop(executor, services->log());
  aio::TaskScope signals(executor, services->log(), "signals");
  aio::TaskScope tasks(executor, services->log(), "command");
  signals.spawn("signals", stop.listen([] {}));
  int code = exit_failed;
  if (auto started = co_await lifespan.start(); started) {
    code = co_await run_interruptible(session, &stop, &tasks);
  } else {
    session->complaints()(started.error());
  }
  if (auto stopped = co_await lifespan.stop(); !stopped) {
    session->complaints()(stopped.error());
    code = exit_failed;
  }
  signals.cancel();
  co_await signals.join();
  co_return code;
}

}  // namespace

int run_session(app::Settings settings, SessionNeeds needs, SessionWork work, std::function<void()> before_complaint) {
  const Complaints complain(std::move(before_complaint));
  // People read this command's output: of the log only what is wrong.
  const auto level = settings.log.level.origin.given() ? *settings.log.level : LogLevel::warn;
  const auto sink = app::make_log_sink(*settings.log.format, level);
  EventLoop loop;
  auto services = app::Services::create(loop.executor(), std::move(settings), sink.get());
  if (!services) {
    complain(services.error());
    return exit_configuration;
  }
  Session session(services->get(), needs, std::move(work), &complain);
  return loop.run(run_opened(services->get(), &session, loop.executor()));
}

}  // namespace opi::cli
