#pragma once
/// @file
/// What git prints, as values. Pure functions; everything they read is foreign input.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "git/mirror.hpp"

namespace opi::git {

/// 40 or 64 hexadecimal digits, lower case.
bool is_object_id(std::string_view text) noexcept;

/// The answer of `git ls-remote -- URL REF`: lines of "id TAB ref". Errors: internal (anything else).
Result<Head> parse_remote_head(std::string_view output, std::string_view ref);

/// One line of `git log --format=%H%x00%ct%x00%an <%ae>` as a Snapshot without files. Errors: internal.
Result<Snapshot> parse_commit(std::string_view line);

/// `git ls-tree -r -l -z`: entries "mode type id size TAB path NUL". Sorts what matches into `into.files` and
/// `into.rejected`. Errors: exhausted (more matching files than the limit), internal.
Result<> parse_tree(std::string_view output, const MirrorSettings& settings, Snapshot& into);

/// `git cat-file --batch`: for each object "id type size LF content LF". Errors: not_found (an object is missing),
/// internal.
Result<std::vector<std::string>> parse_batch(std::string_view output, const std::vector<FileBlob>& files);

}  // namespace opi::git
