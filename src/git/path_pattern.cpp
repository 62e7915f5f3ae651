#include "git/path_pattern.hpp"

#include <cstddef>

namespace opi::git {

namespace {

/// One segment against one segment; on a mismatch the last star takes one character more.
bool segment_matches(std::string_view pattern, std::string_view text) noexcept {
  std::size_t p = 0, t = 0;
  std::size_t star = std::string_view::npos, star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

/// Walks the segments of a path without copying them.
class Segments {
 public:
  explicit Segments(std::string_view path) noexcept : rest_(path), done_(path.empty()) {}
  bool done() const noexcept { return done_; }
  std::string_view front() const noexcept { return rest_.substr(0, rest_.find('/')); }
  Segments next() const noexcept {
    Segments after = *this;
    const auto slash = rest_.find('/');
    after.done_ = slash == std::string_view::npos;
    after.rest_ = after.done_ ? std::string_view() : rest_.substr(slash + 1);
    return after;
  }

 private:
  std::string_view rest_;
  bool done_;
};

}  // namespace

bool path_matches(std::string_view pattern, std::string_view path) noexcept {
  Segments p(pattern), t(path);
  bool has_star = false;
  Segments after_star(pattern), star_text(path);
  while (!t.done()) {
    if (!p.done() && p.front() == "**") {
      p = p.next();
      has_star = true;
      after_star = p;
      star_text = t;
    } else if (!p.done() && segment_matches(p.front(), t.front())) {
      p = p.next();
      t = t.next();
    } else if (has_star) {
      star_text = star_text.next();
      p = after_star;
      t = star_text;
    } else {
      return false;
    }
  }
  while (!p.done() && p.front() == "**") p = p.next();
  return p.done();
}

bool may_match_below(std::string_view pattern, std::string_view directory) noexcept {
  Segments p(pattern), t(directory);
  while (!t.done()) {
    if (p.done()) return false;
    if (p.front() == "**") return true;
    if (!segment_matches(p.front(), t.front())) return false;
    p = p.next();
    t = t.next();
  }
  return !p.done();
}

}  // namespace opi::git
