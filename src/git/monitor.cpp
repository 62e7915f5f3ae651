#include "git/monitor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>
#include <random>
#include <set>
#include <utility>

#include "aio/task_scope.hpp"
#include "aio/with_deadline.hpp"
#include "git/change_tracker.hpp"
#include "git/git_environment.hpp"

namespace opi::git {

namespace {

constexpr std::chrono::milliseconds read_deadline{60'000};  ///< local reading of one batch

std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) | device();
}

Result<> check_settings(const MonitorSettings& settings) {
  auto remote = parse_remote(settings.mirror.url);
  if (!remote) return failure(std::move(remote).error());
  if (auto branch = check_branch(settings.mirror.branch); !branch) return branch;
  if (settings.mirror.directory.empty()) return failure(ErrorKind::invalid, "the mirror has no directory");
  if (settings.mirror.patterns.empty()) return failure(ErrorKind::invalid, "the mirror has no path pattern");
  if (settings.interval.count() <= 0) return failure(ErrorKind::invalid, "the monitor's interval must be positive");
  return {};
}

/// Runs something of others: whatever it throws comes back as an Error.
template <class T>
Task<Result<T>> guarded(Task<Result<T>> task) {
  try {
    co_return co_await std::move(task);
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) co_return failure(ErrorKind::cancelled, "cancelled");
    co_return failure(ErrorKind::internal, error.what());
  } catch (const std::exception& error) {
    co_return failure(ErrorKind::internal, error.what());
  } catch (...) {
    co_return failure(ErrorKind::internal, "an exception of unknown type");
  }
}

Task<Result<ActedOn>> give(ActedOn acted_on) {
  co_return acted_on;
}

std::string short_id(const std::string& commit) {
  return commit.substr(0, 7);
}

double seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

/// Everything the running task needs; the task keeps it alive, so a stop that was given up touches nothing that is
/// gone.
struct GitMonitor::Core : std::enable_shared_from_this<Core> {
  Core(const asio::any_io_executor& executor, MonitorSettings s, LoadActedOn l, ChangeHandler h, const Logger& logger)
      : settings(std::move(s)),
        load(std::move(l)),
        handler(std::move(h)),
        log(logger),
        mirror(settings.mirror, logger),
        tracker(settings.failed_file, random_seed()),
        unreachable(settings.unreachable, random_seed()),
        random(random_seed()),
        alarm(executor),
        scope(executor, logger, "git monitor"),
        board(settings.mirror.name) {}

  Task<> follow();
  Task<Result<>> check();
  Task<Result<>> refresh();
  Task<Result<>> act(bool impatient);
  Task<Result<>> offer(std::vector<FileBlob> present, std::vector<FileBlob> removed, std::vector<RejectedFile> rejected,
                       bool last);
  void settle(const ChangeSet& offered, const std::vector<FileBlob>& files, const std::vector<std::string>& succeeded);
  void note(const Result<>& outcome);
  void enter(MonitorState next);
  std::chrono::nanoseconds next_wait(bool failed);
  const std::string& name() const { return settings.mirror.name; }

  MonitorSettings settings;
  LoadActedOn load;
  ChangeHandler handler;
  Logger log;
  Mirror mirror;
  ChangeTracker tracker;
  Backoff unreachable;
  std::minstd_rand random;
  asio::steady_timer alarm;  ///< cancelled by poke()
  aio::TaskScope scope;
  MonitorBoard board;
  std::atomic<bool> poke_queued = false;
  bool poked = false;
  bool loaded = false;
  bool begun = false;
  MonitorState state = MonitorState::created;
  std::optional<SteadyTime> failing_since;
  std::uint32_t errors_in_a_row = 0;
  std::optional<Snapshot> snapshot;
};

GitMonitor::GitMonitor(const asio::any_io_executor& executor, MonitorSettings settings, LoadActedOn load,
                       ChangeHandler handler, const Logger& log)
    : core_(std::make_shared<Core>(executor, std::move(settings), std::move(load), std::move(handler), log)) {}

GitMonitor::GitMonitor(const asio::any_io_executor& executor, MonitorSettings settings, ActedOn acted_on,
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
    core->poked = true;
    core->alarm.cancel();
  });
}

Task<Result<>> GitMonitor::start() {
  if (std::exchange(core_->begun, true)) co_return failure(ErrorKind::conflict, "the git monitor was started before");
  if (auto checked = check_settings(core_->settings); !checked)
    co_return failure(std::move(checked).error().while_doing("git monitor " + core_->name()));
  core_->enter(MonitorState::starting);
  // Not a member of a core that might go: the task holds it.
  struct Keep {
    static Task<> alive(std::shared_ptr<Core> core) {
      co_await core->follow();
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

void GitMonitor::Core::enter(MonitorState next) {
  state = next;
  board.update([next](MonitorStatus& status) { status.state = next; });
}

Task<> GitMonitor::Core::follow() {
  for (;;) {
    const auto outcome = co_await guarded(check());
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) co_return;
    note(outcome);
    const auto wait = next_wait(!outcome.has_value());
    board.update([wait](MonitorStatus& status) {
      status.next_check =
          std::chrono::system_clock::now() + std::chrono::duration_cast<std::chrono::system_clock::duration>(wait);
    });
    alarm.expires_after(std::chrono::duration_cast<SteadyTime::duration>(wait));
    if (!poked) co_await alarm.async_wait(as_result);
  }
}

std::chrono::nanoseconds GitMonitor::Core::next_wait(bool failed) {
  if (failed)
    return std::min<std::chrono::nanoseconds>(unreachable.next(),
                                              std::max(settings.interval, settings.unreachable.first));
  std::chrono::nanoseconds wait = settings.interval;
  const double share = std::clamp(settings.jitter, 0.0, 1.0) * std::generate_canonical<double, 32>(random);
  wait -= std::chrono::duration_cast<std::chrono::nanoseconds>(wait * share);
  if (const auto offer = tracker.next_offer()) {
    const std::chrono::nanoseconds until = *offer - std::chrono::steady_clock::now();
    wait = std::clamp<std::chrono::nanoseconds>(until, std::chrono::milliseconds(1), wait);
  }
  return wait;
}

/// One round: where is the head, what is new there, act on it.
Task<Result<>> GitMonitor::Core::check() {
  const bool impatient = std::exchange(poked, false);
  if (!loaded) {
    auto acted_on = co_await guarded(load());
    if (!acted_on) co_return failure(std::move(acted_on).error().while_doing("reading what was acted on"));
    tracker.load(*std::move(acted_on));
    loaded = true;
  }
  if (auto fresh = co_await refresh(); !fresh) co_return fresh;
  co_return co_await act(impatient);
}

/// Asks for the head; fetches only when it moved.
Task<Result<>> GitMonitor::Core::refresh() {
  const auto now = std::chrono::steady_clock::now();
  auto head = co_await mirror.remote_head(now + settings.check_deadline);
  if (!head) co_return failure(std::move(head).error());
  if (!head->commit) {
    snapshot = Snapshot{.empty = true};
    co_return Result<>{};
  }
  if (snapshot && snapshot->commit == *head->commit) co_return Result<>{};
  auto fetched = co_await mirror.fetch(std::chrono::steady_clock::now() + settings.fetch_deadline);
  if (!fetched) co_return failure(std::move(fetched).error());
  snapshot = *std::move(fetched);
  co_return Result<>{};
}

Task<Result<>> GitMonitor::Core::act(bool impatient) {
  auto wanted = tracker.wanted(*snapshot, std::chrono::steady_clock::now(), impatient);
  std::vector<FileBlob> batch;
  std::size_t bytes = 0;
  for (auto& file : wanted.present) {
    if (!batch.empty() && bytes + file.size > settings.batch_bytes_max) {
      auto offered = co_await offer(std::exchange(batch, {}), {}, std::exchange(wanted.rejected, {}), false);
      if (!offered) co_return offered;
      bytes = 0;
    }
    bytes += file.size;
    batch.push_back(std::move(file));
  }
  if (batch.empty() && wanted.removed.empty() && wanted.rejected.empty()) co_return Result<>{};
  co_return co_await offer(std::move(batch), std::move(wanted.removed), std::move(wanted.rejected), true);
}

/// Reads the files of one batch and hands them over.
Task<Result<>> GitMonitor::Core::offer(std::vector<FileBlob> present, std::vector<FileBlob> removed,
                                       std::vector<RejectedFile> rejected, bool last) {
  auto contents = co_await mirror.read_blobs(present, std::chrono::steady_clock::now() + read_deadline);
  if (!contents) {
    snapshot.reset();  // fetched again by the next check
    co_return failure(std::move(contents).error());
  }
  ChangeSet set{.commit = snapshot->commit,
                .author = snapshot->author,
                .committed = snapshot->committed,
                .rejected = std::move(rejected),
                .files_total = snapshot->files.size() + snapshot->rejected.size(),
                .last = last};
  std::vector<FileBlob> files;
  for (std::size_t i = 0; i < present.size(); ++i) {
    if (auto error = unusable_content(present[i].path, (*contents)[i])) {
      set.rejected.push_back({.path = present[i].path, .blob = present[i].blob, .error = *std::move(error)});
      tracker.rejected(set.rejected.back(), *snapshot);
      continue;
    }
    set.changes.push_back({.kind = tracker.kind_of(present[i]),
                           .path = present[i].path,
                           .blob = present[i].blob,
                           .content = std::move((*contents)[i])});
    files.push_back(std::move(present[i]));
  }
  for (auto& file : removed) {
    set.changes.push_back({.kind = ChangeKind::removed, .path = file.path, .blob = file.blob});
    files.push_back(std::move(file));
  }
  for (const auto& file : set.rejected)
    log.warn(name(), fmt::format("at {}: {}", short_id(set.commit), file.error.to_string()));
  log.info(name(), fmt::format("head {}, {} to act on, {} unusable, {} in all", short_id(set.commit),
                               set.changes.size(), set.rejected.size(), set.files_total));
  board.update([](MonitorStatus& status) { ++status.change_sets; });
  ChangeSet offered = set;
  for (auto& change : offered.changes) change.content.clear();
  auto succeeded = co_await guarded(handler(std::move(set)));
  if (!succeeded) {
    if (succeeded.error().kind != ErrorKind::cancelled)
      log.error(name(), fmt::format("acting on {}: {}", short_id(offered.commit), succeeded.error().to_string()));
    succeeded = std::vector<std::string>{};
  }
  settle(offered, files, *succeeded);
  co_return Result<>{};
}

void GitMonitor::Core::settle(const ChangeSet& offered, const std::vector<FileBlob>& files,
                              const std::vector<std::string>& succeeded) {
  const std::set<std::string_view> well(succeeded.begin(), succeeded.end());
  const auto now = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (!well.contains(files[i].path))
      tracker.failed(files[i], *snapshot, now);
    else if (offered.changes[i].kind == ChangeKind::removed)
      tracker.removed(files[i].path);
    else
      tracker.succeeded(files[i].path, files[i].blob);
  }
}

/// What one round means for what is seen from outside; transitions, and only they, are logged.
void GitMonitor::Core::note(const Result<>& outcome) {
  const auto now = std::chrono::steady_clock::now();
  if (outcome) {
    const MonitorState next = snapshot && snapshot->empty ? MonitorState::empty : MonitorState::following;
    if (state == MonitorState::unreachable)
      log.info(name(), fmt::format("reachable again after {:.1f} s and {} failed checks", seconds(now - *failing_since),
                                   errors_in_a_row));
    if (next == MonitorState::empty && state != next)
      log.warn(name(),
               fmt::format("no branch {}; nothing is acted on, nothing is taken as removed", settings.mirror.branch));
    unreachable.reset();
    failing_since.reset();
    errors_in_a_row = 0;
    enter(next);
  } else {
    if (state != MonitorState::unreachable) {
      failing_since = now;
      log.warn(name(), fmt::format("{}; the last good state stays", outcome.error().to_string()));
      enter(MonitorState::unreachable);
    }
    ++errors_in_a_row;
  }
  board.update([&](MonitorStatus& status) {
    const auto wall = std::chrono::system_clock::now();
    ++status.checks;
    status.last_check = wall;
    if (outcome) status.last_success = wall;
    if (errors_in_a_row != 0) ++status.checks_failed;
    status.errors_in_a_row = errors_in_a_row;
    status.last_error = outcome ? std::string() : outcome.error().to_string();
    if (outcome)
      status.failing_since.reset();
    else if (!status.failing_since)
      status.failing_since = wall;
    if (snapshot) {
      status.last_head = snapshot->commit;
      status.files = snapshot->files.size();
    }
    status.waiting = tracker.waiting();
    status.children = mirror.statistics();
  });
}

}  // namespace opi::git
