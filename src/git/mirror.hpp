#pragma once
/// @file
/// A bare, shallow mirror of some branches of one repository, kept by the `git` program as a bounded child process.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "git/git_objects.hpp"
#include "git/mirror_settings.hpp"
#include "git/object_reader.hpp"
#include "git/snapshot.hpp"

namespace opi::git {

/// Children started since construction, by what they do.
struct MirrorStatistics {
  std::uint64_t ls_remote = 0;
  std::uint64_t fetch = 0;
  std::uint64_t local = 0;  ///< everything that contacts nobody; the object reader is none of them
};

/// Ownership: owns its directory and its object reader; `close()` it before it goes. Threading: one executor's thread;
/// one operation at a time.
/// Cancellation: ends the child (its whole process group is gone when the operation returns); the mirror stays usable.
/// Errors: invalid (settings), not_found (no repository there, no git program), denied (credentials, host key),
/// unavailable, timed_out, cancelled, exhausted (limits, disk), internal. Messages hold no secret.
/// Secrets: a password reaches the child through its environment only, never argv, URL, file or log.
class Mirror {
 public:
  Mirror(MirrorSettings settings, Logger log);
  ~Mirror();
  Mirror(const Mirror&) = delete;
  Mirror& operator=(const Mirror&) = delete;

  /// Asks the remote once for all branches, with one `git ls-remote`.
  Task<Result<Heads>> remote_heads(SteadyTime deadline);
  /// Fetches `branches` (of the settings) with depth 1 and lists their matching files, in this order; a missing branch
  /// is an empty snapshot. With verification a head that does not satisfy is named in `refused`, and the snapshot is of
  /// the one that was accepted last. History that was rewritten needs no special care; a mirror that is found damaged
  /// is thrown away and made anew, once.
  Task<Result<std::vector<Snapshot>>> fetch(std::vector<std::string> branches, SteadyTime deadline);

  /// `files` with their sizes. No network. Errors: not_found (a blob is not in the mirror).
  Task<Result<std::vector<FileBlob>>> measure(std::vector<FileBlob> files, SteadyTime deadline);
  /// The contents of `files` (measured), in order; for one that cannot be used (too large, an LFS pointer, no text) the
  /// error that says why. No network. The caller bounds the sum of sizes.
  Task<Result<std::vector<Result<std::string>>>> read(std::vector<FileBlob> files, SteadyTime deadline);
  /// Blobs that are not thrown away though no head has them any more: what is still in force of files that broke.
  void keep(std::vector<std::string> blobs) { kept_ = std::move(blobs); }
  /// Packs and prunes when enough was fetched since the last time (`pack_after`): everything that no head has and that
  /// is not kept. Call it when what is to be kept is known. A failure is logged only.
  Task<> tidy_when_due(SteadyTime deadline);
  /// Of `blobs`, those that the mirror holds.
  Task<Result<std::vector<std::string>>> held(std::vector<std::string> blobs, SteadyTime deadline);

  /// Ends the object reader. The mirror stays usable.
  Task<> close();

  const MirrorSettings& settings() const noexcept { return settings_; }
  MirrorStatistics statistics() const noexcept { return statistics_; }

 private:
  struct Run;
  Task<Result<>> prepare(SteadyTime deadline);
  Task<Result<>> make_repository(SteadyTime deadline);
  Task<Result<std::vector<Snapshot>>> fetch_once(std::vector<std::string> branches, SteadyTime deadline);
  Task<Result<>> fetch_refs(std::vector<std::string> branches, bool deep, SteadyTime deadline);
  Task<Result<std::map<std::string, std::string>>> read_refs(SteadyTime deadline);
  Task<Result<Snapshot>> list(std::string branch, std::string commit, SteadyTime deadline);
  Task<Result<>> walk(Snapshot* into, std::string tree, SteadyTime deadline);
  Task<Result<Snapshot>> verified(std::string branch, std::string head, std::string accepted, SteadyTime deadline);
  Task<Result<std::optional<Error>>> refusal(std::string head, std::string accepted, SteadyTime deadline);
  Task<Result<std::string>> git(Run run, SteadyTime deadline);
  Task<Result<>> protect_kept(SteadyTime deadline);
  Task<> discard(Error reason);
  Task<Result<std::vector<std::string>>> contents(std::vector<std::string> ids, std::size_t bytes, SteadyTime deadline);
  void forget_stale_locks() const noexcept;
  aio::ChildSettings reader_settings() const;

  MirrorSettings settings_;
  Logger log_;
  std::string remote_;  ///< the URL as git is given it
  std::string scheme_;
  std::filesystem::path repository_;
  ObjectReader reader_;
  MirrorStatistics statistics_;
  std::size_t id_length_ = 40;  ///< of the remote's object ids: 40 for SHA-1, 64 for SHA-256
  std::vector<std::string> kept_;
  std::uint64_t tidied_at_ = 0;  ///< fetches until then
  bool prepared_ = false;
};

}  // namespace opi::git
