#pragma once
/// @file
/// A branch at one moment: its commit and the files of it that match, by path and blob id. Plain values.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"

namespace opi::git {

/// Branch → the commit it stands at. A branch that does not exist is not in it.
using Heads = std::map<std::string, std::string>;

/// One file that matches, as the tree names it.
struct FileBlob {
  std::string path;
  std::string blob;      ///< object id, the address of its content
  std::size_t size = 0;  ///< in bytes; known once Mirror::measure was asked

  friend bool operator==(const FileBlob&, const FileBlob&) = default;
};

/// One file that matches and cannot be used: a symbolic link, a submodule, a file over its limit, an LFS pointer.
struct RejectedFile {
  std::string path;
  std::string blob;
  Error error;
};

/// A head whose signatures do not satisfy; nothing of it is acted on.
struct RefusedHead {
  std::string commit;
  std::string author;
  Error error;
};

/// The branch at one moment.
struct Snapshot {
  std::string branch = {};
  /// The branch does not exist, or no head of it was accepted yet. Not the same as a commit without matching files.
  bool empty = false;
  std::string commit = {};  ///< with verification: the last one that was accepted
  std::string author = {};  ///< "Name <address>", control characters removed
  WallTime committed = {};
  std::vector<FileBlob> files = {};         ///< sorted by path
  std::vector<RejectedFile> rejected = {};  ///< sorted by path
  std::optional<RefusedHead> refused = {};  ///< the branch has moved on to a commit that is not accepted
};

/// Divides `files` (measured) so that the sizes of each part add up to at most `bytes_max`, or it is one file alone.
std::vector<std::vector<FileBlob>> in_batches(std::vector<FileBlob> files, std::size_t bytes_max);

}  // namespace opi::git
