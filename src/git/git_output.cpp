#include "git/git_output.hpp"

#include <algorithm>

namespace opi::git {

bool is_object_id(std::string_view text) noexcept {
  return (text.size() == 40 || text.size() == 64) &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<Heads> parse_remote_heads(std::string_view output, const std::vector<std::string>& branches) {
  constexpr std::string_view prefix = "refs/heads/";
  const auto strange = [] { return failure(ErrorKind::internal, "git ls-remote printed something unknown"); };
  Heads heads;
  while (!output.empty()) {
    const auto end = output.find('\n');
    if (end == std::string_view::npos) return strange();
    const std::string_view line = output.substr(0, end);
    output.remove_prefix(end + 1);
    const auto tab = line.find('\t');
    if (tab == std::string_view::npos || !is_object_id(line.substr(0, tab))) return strange();
    // The pattern also matches "refs/remotes/x/refs/heads/main": only the exact name counts.
    std::string_view ref = line.substr(tab + 1);
    if (!ref.starts_with(prefix)) continue;
    ref.remove_prefix(prefix.size());
    if (std::ranges::find(branches, ref) != branches.end())
      heads.insert_or_assign(std::string(ref), std::string(line.substr(0, tab)));
  }
  return heads;
}

}  // namespace opi::git
