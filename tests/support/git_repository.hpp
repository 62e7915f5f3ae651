#pragma once
/// @file
/// Throw-away Git repositories and a Git server on loopback, made with the git program.

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "aio/child_process.hpp"

namespace opi::test {

/// One file of a commit.
struct FileChange {
  std::string path;
  std::string content = {};     ///< for a symbolic link its target, for a submodule a commit id
  std::string mode = "100644";  ///< "120000": symbolic link, "160000": submodule
  bool remove = false;
};

/// How a commit is made.
struct CommitOptions {
  std::string branch = "main";
  bool orphan = false;  ///< rewrites history: no parent, only these files
  std::string author = "Test <test@example.org>";
};

/// A bare repository. Every function throws std::runtime_error when git fails. Not synchronised.
class GitRepository {
 public:
  /// Makes the repository at `path`.
  explicit GitRepository(std::filesystem::path path);

  /// Commits `changes` on top of the branch (or anew) and gives the commit's id.
  std::string commit(const std::vector<FileChange>& changes, const CommitOptions& options = {});
  void delete_branch(const std::string& branch);
  std::string head(const std::string& branch = "main") const;
  /// The object id of a file at the head of main.
  std::string blob(const std::string& path) const;

  const std::filesystem::path& path() const noexcept { return path_; }
  std::string url() const { return "file://" + path_.string(); }

 private:
  std::filesystem::path path_;
};

/// Runs `git` with a clean environment; gives its standard output. Throws when it fails.
std::string run_git(const std::vector<std::string>& arguments, std::string input = {});

/// `git daemon` on 127.0.0.1 and a free port (or `port`); serves every repository below `base`. Ends with the object.
class GitDaemon {
 public:
  explicit GitDaemon(std::filesystem::path base, std::uint16_t port = 0);
  ~GitDaemon();
  GitDaemon(const GitDaemon&) = delete;
  GitDaemon& operator=(const GitDaemon&) = delete;

  std::uint16_t port() const noexcept { return port_; }
  /// git://127.0.0.1:PORT/NAME
  std::string url(const std::string& name) const;

 private:
  asio::io_context context_;
  std::uint16_t port_ = 0;
  std::optional<aio::ChildProcess> child_;
};

}  // namespace opi::test
