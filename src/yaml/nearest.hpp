#pragma once
/// @file
/// "Did you mean …": the nearest of some known names.

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace opi::yaml {

/// The candidate with the smallest edit distance (insert, delete, replace, swap of neighbours; case and `_` against `-`
/// count nothing), when it is at most a third of the longer name; the first one on a tie. Pure. Names over 64 bytes
/// have no neighbours.
std::optional<std::string> nearest(std::string_view name, std::span<const std::string> candidates);

/// "a, b, c": at most 20 of them; one that is long or not printable ASCII is quoted, escaped and cut as by shown().
std::string joined(std::span<const std::string> names);

}  // namespace opi::yaml
