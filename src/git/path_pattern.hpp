#pragma once
/// @file
/// Patterns that select files of a repository, as gitignore writes them: `projects/*.yaml`, `**/opi.yaml`.

#include <string_view>

namespace opi::git {

/// Does `path` (segments divided by '/', no leading one) match `pattern`? `*` and `?` stay within a segment, a segment
/// `**` stands for any number of segments, also none; everything else is literal and case counts. Pure; linear in
/// space, at most quadratic in time.
bool path_matches(std::string_view pattern, std::string_view path) noexcept;

/// Could a path below `directory` match `pattern`? Errs on the side of yes.
bool may_match_below(std::string_view pattern, std::string_view directory) noexcept;

}  // namespace opi::git
