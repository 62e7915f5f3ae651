#pragma once
/// @file
/// What `git ls-remote` prints, as values. Pure functions; everything they read is foreign input.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "git/snapshot.hpp"

namespace opi::git {

/// 40 or 64 hexadecimal digits, lower case.
bool is_object_id(std::string_view text) noexcept;

/// The answer of `git ls-remote -- URL refs/heads/BRANCH…`: lines of "id TAB ref". Other refs are passed over. Errors:
/// internal (anything else).
Result<Heads> parse_remote_heads(std::string_view output, const std::vector<std::string>& branches);

}  // namespace opi::git
