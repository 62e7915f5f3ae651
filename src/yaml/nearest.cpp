#include "yaml/nearest.hpp"

#include <algorithm>
#include <array>

#include "yaml/problems.hpp"

namespace opi::yaml {
namespace {

/// Fit for a message as it is; what a file says may be neither short nor printable.
bool harmless(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) { return c > ' ' && c < 0x7F; });
}

constexpr std::size_t length_max = 64;

char folded(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  return c == '_' ? '-' : c;
}

/// Edit distance with swaps of neighbours ("optimal string alignment"); both names are at most length_max long.
std::size_t distance(std::string_view a, std::string_view b) {
  using Row = std::array<std::size_t, length_max + 1>;
  Row before{};
  Row last{};
  Row row{};
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const char x = folded(a[i - 1]);
      const char y = folded(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (x == y ? 0U : 1U)});
      if (i > 1 && j > 1 && x == folded(b[j - 2]) && folded(a[i - 2]) == y)
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = last;
    last = row;
  }
  return last[b.size()];
}

}  // namespace

std::optional<std::string> nearest(std::string_view name, std::span<const std::string> candidates) {
  std::optional<std::string> best;
  std::size_t best_distance = length_max;
  if (name.empty() || name.size() > length_max) return best;
  for (const std::string& candidate : candidates) {
    if (candidate.empty() || candidate.size() > length_max) continue;
    const std::size_t far = distance(name, candidate);
    if (far * 3 > std::max(name.size(), candidate.size()) || far >= best_distance) continue;
    best_distance = far;
    best = candidate;
  }
  return best;
}

std::string joined(std::span<const std::string> names) {
  constexpr std::size_t names_max = 20;
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += ", ";
    if (i == names_max) return text + "…";
    text += harmless(names[i]) ? names[i] : shown(names[i]);
  }
  return text;
}

}  // namespace opi::yaml
