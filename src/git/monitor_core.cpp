#include "git/monitor_core.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <exception>
#include <iterator>
#include <set>
#include <utility>

#include "aio/with_deadline.hpp"
#include "base/clock.hpp"
#include "git/git_environment.hpp"

namespace opi::git {

namespace {

constexpr std::chrono::milliseconds read_deadline{60'000};  ///< local reading of one batch

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

std::string short_id(const std::string& commit) {
  return commit.substr(0, 7);
}

double seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

WallTime on_the_wall(SteadyTime when) {
  return std::chrono::system_clock::now() +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(when - steady_now());
}

}  // namespace

void GitMonitor::Core::enter(MonitorState next) {
  state = next;
  board.update([next](MonitorStatus& status) { status.state = next; });
}

Task<> GitMonitor::Core::follow() {
  for (;;) {
    if (suspended) {
      enter(MonitorState::suspended);
      board.update([](MonitorStatus& status) { status.next_check.reset(); });
      alarm.expires_at(SteadyTime::max());
    } else {
      // Demands that come one after the other are taken together.
      if (poked && steady_now() - last_question < settings.poke_spacing)
        (void)co_await aio::sleep_until(last_question + settings.poke_spacing);
      const auto outcome = co_await guarded(check());
      if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) co_return;
      if (asked || !outcome) plan_next(!outcome.has_value());
      note(outcome);
      show(outcome);
      const auto next = next_round();
      board.update([this](MonitorStatus& status) { status.next_check = on_the_wall(next_question); });
      alarm.expires_at(next);
    }
    // Woken while the round ran: the alarm was not set yet, so that it is not waited for at all.
    if (!poked && suspended == (state == MonitorState::suspended)) (void)co_await alarm.async_wait(as_result);
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) co_return;
  }
}

/// When the remote is asked again.
void GitMonitor::Core::plan_next(bool failed) {
  std::chrono::nanoseconds wait = settings.interval;
  if (failed) {
    wait =
        std::min<std::chrono::nanoseconds>(unreachable.next(), std::max(settings.interval, settings.unreachable.first));
  } else {
    const double share = std::clamp(settings.jitter, 0.0, 1.0) * std::generate_canonical<double, 32>(random);
    wait -= std::chrono::duration_cast<std::chrono::nanoseconds>(wait * share);
  }
  next_question = steady_now() + std::chrono::duration_cast<SteadyTime::duration>(wait);
}

SteadyTime GitMonitor::Core::next_round() const {
  SteadyTime next = next_question;
  for (const auto& branch : branches) {
    const auto offer = branch.tracker.next_offer();
    if (offer && !branch.stale) next = std::min(next, *offer);
  }
  return std::max(next, steady_now() + std::chrono::milliseconds(1));
}

Task<Result<>> GitMonitor::Core::check() {
  const bool impatient = std::exchange(poked, false);
  asked = false;
  if (!loaded) {
    auto acted_on = co_await guarded(load());
    if (!acted_on) co_return failure(std::move(acted_on).error().while_doing("reading what was acted on"));
    for (auto& branch : branches) branch.tracker.load(std::move((*acted_on)[branch.name]));
    loaded = true;
  }
  if (impatient || steady_now() >= next_question) {
    asked = true;
    last_question = steady_now();
    if (auto fresh = co_await refresh(); !fresh) co_return fresh;
  }
  for (auto& branch : branches) {
    if (!branch.snapshot || branch.stale) continue;
    auto acted = co_await act(&branch, impatient);
    if (acted) continue;
    // The mirror is empty now: no head counts as fetched, although none has moved.
    if (looks_damaged(acted.error())) distrust_mirror();
    co_return acted;
  }
  std::vector<std::string> kept;
  for (const auto& branch : branches) std::ranges::move(branch.tracker.in_force(), std::back_inserter(kept));
  mirror.keep(std::move(kept));
  co_await mirror.tidy_when_due(steady_now() + settings.fetch_deadline);
  co_return Result<>{};
}

void GitMonitor::Core::distrust_mirror() {
  for (auto& branch : branches) {
    branch.seen.clear();
    branch.stale = true;
  }
}

Task<Result<>> GitMonitor::Core::refresh() {
  auto heads = co_await mirror.remote_heads(steady_now() + settings.check_deadline);
  if (!heads) co_return failure(std::move(heads).error());
  std::vector<std::string> moved;
  for (auto& branch : branches) {
    const auto head = heads->find(branch.name);
    if (head == heads->end())
      take(branch, Snapshot{.branch = branch.name, .empty = true});
    else if (!branch.snapshot || branch.seen != head->second)
      moved.push_back(branch.name);
  }
  if (moved.empty()) co_return Result<>{};
  auto fetched = co_await mirror.fetch(std::move(moved), steady_now() + settings.fetch_deadline);
  if (!fetched) co_return failure(std::move(fetched).error());
  for (auto& snapshot : *fetched) {
    const auto branch = std::ranges::find(branches, snapshot.branch, &Branch::name);
    if (branch != branches.end()) take(*branch, std::move(snapshot));
  }
  co_return Result<>{};
}

/// A branch has moved, or is gone; what that means is one line.
void GitMonitor::Core::take(Branch& branch, Snapshot fresh) {
  const bool missing = fresh.empty && !fresh.refused;
  const bool was_missing = branch.snapshot && branch.snapshot->empty && !branch.snapshot->refused;
  if (missing && !was_missing)
    log.warn(name(), fmt::format("no branch {}; nothing is acted on, nothing is taken as removed", branch.name));
  if (fresh.refused)
    log.warn(name(),
             fmt::format("{} stands at {} by {}, which is not acted on: {}", branch.name,
                         short_id(fresh.refused->commit), fresh.refused->author, fresh.refused->error.to_string()));
  branch.stale = false;
  branch.seen = missing ? std::string() : fresh.refused ? fresh.refused->commit : fresh.commit;
  branch.snapshot = std::move(fresh);
}

Task<Result<>> GitMonitor::Core::act(Branch* branch, bool impatient) {
  auto wanted = branch->tracker.wanted(*branch->snapshot, steady_now(), impatient);
  if (wanted.present.empty() && wanted.removed.empty() && wanted.rejected.empty()) {
    if (!branch->tracker.anything_waits()) branch->behind_since.reset();
    co_return Result<>{};
  }
  if (!branch->behind_since) branch->behind_since = std::chrono::system_clock::now();
  auto measured = co_await mirror.measure(std::move(wanted.present), steady_now() + read_deadline);
  if (!measured) {
    distrust_mirror();
    co_return failure(std::move(measured).error());
  }
  const std::size_t file_max = settings.mirror.limits.file_bytes_max;
  for (auto& file : *measured)
    if (file.size > file_max) file.size = file_max + 1;  // is not read, and does not crowd out the others
  auto batches = in_batches(*std::move(measured), settings.batch_bytes_max);
  if (batches.empty()) batches.emplace_back();
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const bool last = i + 1 == batches.size();
    std::vector<FileBlob> removed;
    if (last) removed = std::move(wanted.removed);
    auto offered =
        co_await offer(branch, std::move(batches[i]), std::move(removed), std::exchange(wanted.rejected, {}), last);
    if (!offered) co_return offered;
  }
  if (!branch->tracker.anything_waits()) branch->behind_since.reset();
  co_return Result<>{};
}

/// Reads the files of one batch and hands them over.
Task<Result<>> GitMonitor::Core::offer(Branch* branch, std::vector<FileBlob> present, std::vector<FileBlob> removed,
                                       std::vector<RejectedFile> rejected, bool last) {
  auto contents = co_await mirror.read(present, steady_now() + read_deadline);
  if (!contents) {
    for (auto& other : branches) other.seen.clear();
    co_return failure(std::move(contents).error());
  }
  const Snapshot& snapshot = *branch->snapshot;
  ChangeSet set{.branch = branch->name,
                .commit = snapshot.commit,
                .author = snapshot.author,
                .committed = snapshot.committed,
                .rejected = std::move(rejected),
                .files_total = snapshot.files.size() + snapshot.rejected.size(),
                .last = last};
  std::vector<FileBlob> files;
  for (std::size_t i = 0; i < present.size(); ++i) {
    auto& content = (*contents)[i];
    if (!content) {
      set.rejected.push_back({.path = present[i].path, .blob = present[i].blob, .error = std::move(content).error()});
      branch->tracker.rejected(set.rejected.back(), snapshot);
      continue;
    }
    set.changes.push_back({.kind = branch->tracker.kind_of(present[i]),
                           .path = present[i].path,
                           .blob = present[i].blob,
                           .content = *std::move(content)});
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
  std::vector<ChangeKind> kinds;
  for (const auto& change : set.changes) kinds.push_back(change.kind);
  const std::string commit = short_id(set.commit);
  auto succeeded = co_await guarded(handler(std::move(set)));
  if (!succeeded) {
    if (succeeded.error().kind != ErrorKind::cancelled)
      log.error(name(), fmt::format("acting on {}: {}", commit, succeeded.error().to_string()));
    succeeded = std::vector<std::string>{};
  }
  settle(*branch, kinds, files, *succeeded);
  co_return Result<>{};
}

void GitMonitor::Core::settle(Branch& branch, const std::vector<ChangeKind>& kinds, const std::vector<FileBlob>& files,
                              const std::vector<std::string>& succeeded) {
  const std::set<std::string_view> well(succeeded.begin(), succeeded.end());
  const auto at = steady_now();
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (!well.contains(files[i].path))
      branch.tracker.failed(files[i], *branch.snapshot, at);
    else if (kinds[i] == ChangeKind::removed)
      branch.tracker.removed(files[i].path);
    else
      branch.tracker.succeeded(files[i].path, files[i].blob);
  }
  if (!well.empty()) branch.last_acted = std::chrono::system_clock::now();
}

/// What one round means for the state; transitions, and only they, are logged.
void GitMonitor::Core::note(const Result<>& outcome) {
  if (!outcome) {
    if (state != MonitorState::unreachable) {
      failing_since = steady_now();
      log.warn(name(), fmt::format("{}; the last good state stays", outcome.error().to_string()));
      enter(MonitorState::unreachable);
    }
    ++errors_in_a_row;
    return;
  }
  if (!asked && state != MonitorState::suspended) return;  // nothing was learned of the remote
  const bool nothing = std::ranges::all_of(branches, [](const auto& branch) {
    return branch.snapshot && branch.snapshot->empty && !branch.snapshot->refused;
  });
  if (state == MonitorState::unreachable)
    log.info(name(), fmt::format("reachable again after {:.1f} s and {} failed checks",
                                 seconds(steady_now() - *failing_since), errors_in_a_row));
  unreachable.reset();
  failing_since.reset();
  errors_in_a_row = 0;
  enter(nothing ? MonitorState::empty : MonitorState::following);
}

void GitMonitor::Core::show(const Result<>& outcome) {
  std::vector<WaitingFile> waiting;
  std::vector<BranchStatus> seen;
  std::size_t files = 0;
  for (const auto& branch : branches) {
    for (auto& file : branch.tracker.waiting()) {
      waiting.push_back(std::move(file));
      waiting.back().branch = branch.name;
    }
    BranchStatus one{.branch = branch.name, .behind_since = branch.behind_since, .last_acted = branch.last_acted};
    if (branch.snapshot) {
      one.head = branch.snapshot->commit;
      one.author = branch.snapshot->author;
      one.files = branch.snapshot->files.size();
      if (const auto& refused = branch.snapshot->refused) {
        one.refused_commit = refused->commit;
        one.refused_author = refused->author;
        one.refused_reason = refused->error.to_string();
      }
    }
    files += one.files;
    seen.push_back(std::move(one));
  }
  board.update([&](MonitorStatus& status) {
    const auto wall = std::chrono::system_clock::now();
    if (asked || !outcome) {
      ++status.checks;
      status.last_check = wall;
      if (!outcome) ++status.checks_failed;
      status.errors_in_a_row = errors_in_a_row;
      status.last_error = outcome ? std::string() : outcome.error().to_string();
    }
    if (outcome && asked) {
      status.last_success = wall;
      status.failing_since.reset();
    } else if (!outcome && !status.failing_since) {
      status.failing_since = wall;
    }
    // While a repository is away, or its branch is, the last head that was seen is still what is in force.
    if (!seen.front().head.empty() || outcome) status.last_head = seen.front().head;
    status.files = files;
    status.branches = std::move(seen);
    status.waiting = std::move(waiting);
    status.children = mirror.statistics();
  });
}

}  // namespace opi::git
