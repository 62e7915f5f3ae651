#include "git/monitor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <set>
#include <utility>

#include "aio/with_deadline.hpp"
#include "git/git_environment.hpp"
#include "git/monitor_core.hpp"

namespace opi::git {

namespace {

std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) | device();
}

Result<> check_settings(const MonitorSettings& settings) {
  const auto& mirror = settings.mirror;
  auto remote = parse_remote(mirror.url);
  if (!remote) return failure(std::move(remote).error());
  if (auto proxy = check_proxy(mirror.proxy); !proxy) return proxy;
  for (const auto& branch : mirror.branches)
    if (auto checked = check_branch(branch); !checked) return checked;
  const std::set<std::string> once(mirror.branches.begin(), mirror.branches.end());
  if (once.empty() || once.size() != mirror.branches.size())
    return failure(ErrorKind::invalid, "the mirror has no branch, or one of them twice");
  if (mirror.directory.empty()) return failure(ErrorKind::invalid, "the mirror has no directory");
  if (mirror.patterns.empty()) return failure(ErrorKind::invalid, "the mirror has no path pattern");
  if (mirror.verification.mode != VerifyMode::none && mirror.verification.allowed_signers_file.empty() &&
      mirror.verification.openpgp_keyring_file.empty())
    return failure(ErrorKind::invalid, "signatures are to be verified, and no keys are given");
  if (settings.interval.count() <= 0) return failure(ErrorKind::invalid, "the monitor's interval must be positive");
  return {};
}

Task<Result<ActedOnBranches>> give(ActedOnBranches acted_on) {
  co_return acted_on;
}

}  // namespace

GitMonitor::Core::Core(const asio::any_io_executor& executor, MonitorSettings s, LoadActedOn l, ChangeHandler h,
                       const Logger& logger)
    : settings(std::move(s)),
      load(std::move(l)),
      handler(std::move(h)),
      log(logger),
      mirror(settings.mirror, logger),
      unreachable(settings.unreachable, random_seed()),
      random(random_seed()),
      alarm(executor),
      scope(executor, logger, "git monitor"),
      board(settings.mirror.name),
      suspended(settings.suspended) {
  branches.reserve(settings.mirror.branches.size());
  for (const auto& branch : settings.mirror.branches)
    branches.emplace_back(branch, settings.failed_file, random_seed());
}

GitMonitor::GitMonitor(const asio::any_io_executor& executor, MonitorSettings settings, LoadActedOn load,
                       ChangeHandler handler, const Logger& log)
    : core_(std::make_shared<Core>(executor, std::move(settings), std::move(load), std::move(handler), log)) {}

GitMonitor::GitMonitor(const asio::any_io_executor& executor, MonitorSettings settings, ActedOnBranches acted_on,
                       ChangeHandler handler, const Logger& log)
    : GitMonitor(
          executor, std::move(settings), [known = std::move(acted_on)] { return give(known); }, std::move(handler),
          log) {}

GitMonitor::~GitMonitor() = default;

MonitorStatus GitMonitor::status() const {
  return core_->board.status();
}

void GitMonitor::poke() {
  if (core_->poke_queued.exchange(true)) return;  // one is on its way: it will serve us too
  asio::post(core_->scope.executor(), [core = core_] {
    core->poke_queued = false;
    if (core->suspended) return;
    core->poked = true;
    core->alarm.cancel();
  });
}

void GitMonitor::suspend() {
  asio::post(core_->scope.executor(), [core = core_] {
    core->suspended = true;
    core->poked = false;
    core->alarm.cancel();
  });
}

void GitMonitor::resume() {
  asio::post(core_->scope.executor(), [core = core_] {
    if (!std::exchange(core->suspended, false)) return;
    core->poked = true;
    core->alarm.cancel();
  });
}

Task<Result<>> GitMonitor::start() {
  if (std::exchange(core_->begun, true)) co_return failure(ErrorKind::conflict, "the git monitor was started before");
  if (auto checked = check_settings(core_->settings); !checked)
    co_return failure(std::move(checked).error().while_doing("git monitor " + core_->name()));
  core_->enter(core_->suspended ? MonitorState::suspended : MonitorState::starting);
  // Not a member of a core that might go: the task holds it.
  struct Keep {
    static Task<> alive(std::shared_ptr<Core> core) {
      co_await core->follow();
      co_await asio::this_coro::throw_if_cancelled(false);
      co_await core->mirror.close();
      // The scope in the core still counts this task: the last reference goes a turn later.
      asio::post(core->scope.executor(), [core] {});
    }
  };
  core_->scope.spawn(core_->name(), Keep::alive(core_));
  co_return Result<>{};
}

Task<Result<>> GitMonitor::stop() {
  struct Joining {
    static Task<Result<>> of(std::shared_ptr<Core> core) {
      co_await core->scope.join();
      co_return Result<>{};
    }
  };
  core_->scope.cancel();
  const auto deadline = std::chrono::steady_clock::now() + core_->settings.stop_deadline;
  auto joined = co_await aio::with_hard_deadline(Joining::of(core_), deadline, std::chrono::milliseconds(0),
                                                 fmt::format("git monitor {} did not stop in time", core_->name()));
  core_->enter(MonitorState::stopped);
  co_return joined;
}

}  // namespace opi::git
