#pragma once
/// @file
/// Which files are to be acted on: what was, what is, and what failed when. No I/O, no clock of its own.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/backoff.hpp"
#include "base/clock.hpp"
#include "git/changes.hpp"
#include "git/monitor_status.hpp"
#include "git/snapshot.hpp"

namespace opi::git {

/// What a snapshot asks for now.
struct Wanted {
  std::vector<FileBlob> present;       ///< added or changed, by path
  std::vector<FileBlob> removed;       ///< acted on before and gone; `blob` is the one acted on
  std::vector<RejectedFile> rejected;  ///< not told before with this content
};

/// The state of the monitor per path and object id, of one branch. Not synchronised: the monitor's executor.
class ChangeTracker {
 public:
  ChangeTracker(BackoffLimits failed_file, std::uint64_t seed) : limits_(failed_file), seed_(seed) {}

  void load(ActedOn acted_on) { acted_on_ = std::move(acted_on); }
  /// What differs from what was acted on and does not wait for its backoff. A rejected file is not a removed one: what
  /// was last acted on stays. `impatient` offers what waits as well.
  Wanted wanted(const Snapshot& snapshot, SteadyTime now, bool impatient);
  ChangeKind kind_of(const FileBlob& file) const;

  void succeeded(const std::string& path, const std::string& blob);
  void removed(const std::string& path);
  /// Offered and not acted on: it waits, longer each time.
  void failed(const FileBlob& file, const Snapshot& snapshot, SteadyTime now);
  /// A file whose content turned out to be unusable.
  void rejected(const RejectedFile& file, const Snapshot& snapshot);

  /// When the first waiting file may be offered again.
  std::optional<SteadyTime> next_offer() const;
  std::vector<WaitingFile> waiting() const;
  /// The blobs in force of files whose newer version waits or is rejected.
  std::vector<std::string> in_force() const;
  bool anything_waits() const noexcept { return !waiting_.empty(); }

 private:
  struct Waiting {
    std::string blob;
    std::string error;
    std::string commit;
    std::string author;
    std::optional<Backoff> backoff;
    SteadyTime not_before;
  };
  void forget_what_moved(const Snapshot& snapshot);

  BackoffLimits limits_;
  std::uint64_t seed_;
  ActedOn acted_on_;
  std::map<std::string, Waiting> waiting_;
};

}  // namespace opi::git
