#pragma once
/// @file
/// Git's own objects, as values: commits with their signatures, trees. Pure functions; everything they read is foreign
/// input. Format: git-cat-file(1) prints objects as they are stored; Documentation/gitformat-signature.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "git/mirror_settings.hpp"
#include "git/snapshot.hpp"

namespace opi::git {

/// What we use of a commit.
struct CommitObject {
  std::string tree;    ///< object id
  std::string author;  ///< "Name <address>", control characters removed
  WallTime committed = {};
};

/// Errors: internal (no commit). A time that is none, or beyond what the clock holds, is clamped.
Result<CommitObject> parse_commit(std::string_view raw);

/// A commit taken apart for verification.
struct SignedCommit {
  std::string payload;         ///< what was signed: the commit without its signature headers
  std::string signature;       ///< in its armour; empty: the commit is not signed
  std::int64_t committed = 0;  ///< seconds since the epoch
};
/// The first `gpgsig` (in a SHA-256 repository `gpgsig-sha256`) is the signature; git leaves out both when it signs.
/// Errors: internal (no commit).
Result<SignedCommit> split_signature(std::string_view raw, bool sha256);

/// A directory that has to be looked into.
struct Directory {
  std::string path;  ///< "" for the root
  std::string tree;  ///< object id
};

/// Sorts the entries of one directory: what matches goes into `into.files` and `into.rejected`, directories below which
/// something may match into `below`. `id_bytes` is 20 or 32. Errors: exhausted (more matching files than the limit, or
/// directories too deep), internal.
Result<> parse_tree(std::string_view raw, std::size_t id_bytes, const Directory& directory,
                    const MirrorSettings& settings, Snapshot& into, std::vector<Directory>& below);

/// Why a blob's content must not be used though the file is small enough: it is a Git LFS pointer, or not text (a NUL).
std::optional<Error> unusable_content(std::string_view path, std::string_view content);

}  // namespace opi::git
