#pragma once
/// @file
/// A bare, shallow mirror of one branch of one repository, kept by the `git` program as a bounded child process.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "base/secret_string.hpp"

namespace opi::git {

/// User and password (or token) for http and https.
struct HttpCredentials {
  std::string username;
  /// Asked before each command, so that a rotated secret is picked up; must not block. Its failure fails the command.
  std::function<Result<SecretString>()> password;
};

/// Key and known hosts for ssh; host keys are always checked.
struct SshCredentials {
  std::string key_file;
  std::string known_hosts_file;
};

/// Bounds on what a repository may make us hold.
struct MirrorLimits {
  std::size_t file_bytes_max = 1U << 20U;   ///< a larger file is rejected by itself, the others go on
  std::size_t files_max = 10'000;           ///< more files that match: the snapshot fails as exhausted
  std::size_t tree_bytes_max = 64U << 20U;  ///< of the listing of the tree
};

/// What is mirrored, where to, and how.
struct MirrorSettings {
  std::string name = "projects";  ///< for logs and messages
  /// https://, http://, ssh://, user@host:path, git://, file:// or an absolute path. A password in it is refused.
  std::string url;
  std::string branch = "main";
  std::filesystem::path directory;  ///< ours alone: the mirror, a HOME, a git configuration; made when missing (0700)
  std::vector<std::string> patterns = {"projects/*.yaml", "projects/*.yml"};
  std::optional<HttpCredentials> http = {};
  std::optional<SshCredentials> ssh = {};
  std::string ca_file = {};  ///< for https; empty: the system's
  std::string proxy = {};    ///< for http and https; empty: none
  MirrorLimits limits = {};
  std::chrono::seconds low_speed_time{20};    ///< http: a transfer slower than 1 kB/s for so long ends
  std::uint64_t pack_after = 64;              ///< fetches, after which what is unreachable is pruned
  std::chrono::milliseconds kill_grace{300};  ///< between SIGTERM and SIGKILL to the child's group
};

/// Where the branch stands.
struct Head {
  /// Empty: the repository is empty or has no such branch.
  std::optional<std::string> commit;
};

/// One file that matches, as the tree names it.
struct FileBlob {
  std::string path;
  std::string blob;  ///< object id, the address of its content
  std::size_t size = 0;

  friend bool operator==(const FileBlob&, const FileBlob&) = default;
};

/// One entry that matches and cannot be used: a symbolic link, a submodule, a file over its limit.
struct RejectedFile {
  std::string path;
  std::string blob;
  Error error;
};

/// The branch at one moment.
struct Snapshot {
  /// The repository is empty or has no such branch. Not the same as a commit without matching files.
  bool empty = false;
  std::string commit = {};
  std::string author = {};  ///< "Name <address>", control characters removed
  WallTime committed = {};
  std::vector<FileBlob> files = {};         ///< sorted by path
  std::vector<RejectedFile> rejected = {};  ///< sorted by path
};

/// Children started since construction, by what they do.
struct MirrorStatistics {
  std::uint64_t ls_remote = 0;
  std::uint64_t fetch = 0;
  std::uint64_t local = 0;  ///< everything that contacts nobody
};

/// Why a blob's content must not be used though the file is small enough: it is a Git LFS pointer, or not text (a NUL).
std::optional<Error> unusable_content(std::string_view path, std::string_view content);

/// Ownership: owns its directory. Threading: one executor's thread; one operation at a time.
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

  /// Asks the remote once, with one `git ls-remote`.
  Task<Result<Head>> remote_head(SteadyTime deadline);
  /// Fetches the branch with depth 1 and lists its matching files. History that was rewritten needs no special care; a
  /// mirror that is found damaged is thrown away and made anew, once.
  Task<Result<Snapshot>> fetch(SteadyTime deadline);
  /// The contents of `files`, in order, with one `git cat-file --batch`; no network. The caller bounds the sum of
  /// sizes.
  Task<Result<std::vector<std::string>>> read_blobs(std::vector<FileBlob> files, SteadyTime deadline);

  const MirrorSettings& settings() const noexcept { return settings_; }
  MirrorStatistics statistics() const noexcept { return statistics_; }

 private:
  struct Run;
  Task<Result<>> prepare(SteadyTime deadline);
  Task<Result<Snapshot>> fetch_once(SteadyTime deadline);
  Task<Result<Snapshot>> list(SteadyTime deadline);
  Task<Result<std::string>> git(Run run, SteadyTime deadline);
  Task<> tidy_up(SteadyTime deadline);
  void discard(const Error& reason);
  void forget_stale_locks() const noexcept;

  MirrorSettings settings_;
  Logger log_;
  std::string remote_;  ///< the URL as git is given it
  std::string scheme_;
  std::filesystem::path repository_;
  MirrorStatistics statistics_;
  bool prepared_ = false;
};

}  // namespace opi::git
