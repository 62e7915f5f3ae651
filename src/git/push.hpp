#pragma once
/// @file
/// Writes files to a branch that others write to as well: read the head, render on it, commit, push fast-forward only,
/// and again when somebody was faster.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aio/blocking_pool.hpp"
#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "git/git_environment.hpp"
#include "git/mirror_settings.hpp"

namespace opi::git {

/// Refuses bytes that may not leave this machine. Asked for every file that is written, once before the commit is made
/// and once for what stands in it; on threads of the blocking pool, by two at once.
using FileGuard = std::function<Result<>(const std::string& path, std::string_view bytes)>;

struct PushSettings {
  /// Where to and how to get in; the branch is `branches.front()`. `directory` is ours alone, and no mirror's.
  MirrorSettings remote;
  std::string author_name = "Operations Manager";
  std::string author_email = "operations-manager@localhost";
  FileGuard guard = {};
  std::uint32_t attempts_max = 40;  ///< of one push, the first one included
  std::chrono::milliseconds first_backoff{30};
  std::chrono::milliseconds most_backoff{1'000};
};

using Blobs = std::map<std::string, std::string, std::less<>>;  ///< path → object id

/// What stands on the branch, below a folder.
struct RemoteTree {
  std::string commit;  ///< empty: the branch is not there yet
  Blobs blobs = {};
};

/// What is to stand there: bytes, or nothing for a file that goes.
struct TreeChange {
  std::map<std::string, std::optional<std::string>> files = {};
  std::string message = {};
};

/// Renders on a head. Called once for each attempt, never concurrently. An empty change ends the push.
using RenderTree = std::function<Result<TreeChange>(const RemoteTree& tree)>;

struct PushReport {
  std::string commit;     ///< of the head that holds everything; empty: nothing was there and nothing was to be written
  Blobs blobs = {};       ///< of what was written
  std::size_t files = 0;  ///< written or removed; 0: no commit was made
  std::uint32_t attempts = 0;
};

/// Ownership: owns its directory, borrows the blocking pool. Threading: one executor's thread, one call at a time.
/// Cancellation: ends the running git; whether a push that was under way has landed is then unknown, and the next call
/// sees it. Errors: those of the guard and of `render`; exhausted (somebody else was faster every time), denied,
/// not_found, unavailable, timed_out.
class Pusher {
 public:
  Pusher(PushSettings settings, aio::BlockingPool& blocking, Logger log);

  /// The branch as it is, files below `folder` (empty: all). One `git ls-remote` when it has not moved.
  Task<Result<RemoteTree>> read(std::string folder, SteadyTime deadline);
  /// Files of the branch as it was read last, by object id, in order. Errors: internal (one that is not there).
  Task<Result<std::vector<std::string>>> contents(std::vector<std::string> ids, SteadyTime deadline);
  /// Every file that `render` names stands below `folder`; one that does not is refused (internal), nothing is pushed.
  Task<Result<PushReport>> push(std::string folder, RenderTree render, SteadyTime deadline);

  /// git processes started, for tests and measurements.
  std::uint64_t commands() const noexcept { return commands_; }

 private:
  struct Run;
  struct Ended;
  Task<Result<Ended>> git(Run run, SteadyTime deadline);
  Task<Result<>> prepare(SteadyTime deadline);
  Task<Result<>> make_repository(SteadyTime deadline);
  Task<Result<std::string>> remote_head(SteadyTime deadline);
  Task<Result<>> fetch(SteadyTime deadline);
  Task<Result<Blobs>> list(std::string commit, std::string folder, SteadyTime deadline);
  Task<Result<std::string>> commit(std::string parent, const TreeChange* change, SteadyTime deadline);
  Task<Result<>> read_back(std::string commit, const TreeChange* change, PushReport* report, SteadyTime deadline);
  /// False: somebody else was faster.
  Task<Result<bool>> send(std::string commit, SteadyTime deadline);
  Task<Result<>> guard_all(const TreeChange* change) const;
  Task<Result<>> ask_guard(std::vector<std::pair<const std::string*, std::string_view>> files) const;

  PushSettings settings_;
  aio::BlockingPool& blocking_;
  Logger log_;
  Remote remote_;
  std::filesystem::path repository_;
  bool prepared_ = false;
  std::size_t id_length_ = 40;
  std::string folder_;  ///< of `tree_`
  std::optional<RemoteTree> tree_;
  std::uint64_t commands_ = 0;
};

/// Entries of `git ls-tree -r -z`: path → object id of its files. Errors: internal.
Result<Blobs> parse_tree_listing(std::string_view output);

}  // namespace opi::git
