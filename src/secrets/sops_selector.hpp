#pragma once
/// @file
/// Decides which values of a SOPS file are encrypted, and matches the paths of creation rules.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "secrets/sops.hpp"

namespace re2 {
class RE2;
}

namespace opi::secrets::sops {

/// A regular expression in linear time (RE2, as Go's), found anywhere in a text. Move-only; const use from any thread.
class Regex {
 public:
  /// Errors: invalid, with the reason.
  static Result<Regex> compile(std::string_view pattern);
  bool found_in(std::string_view text) const;

 private:
  struct Free {
    void operator()(re2::RE2* regex) const noexcept;
  };
  explicit Regex(std::unique_ptr<re2::RE2, Free> regex) noexcept : regex_(std::move(regex)) {}
  std::unique_ptr<re2::RE2, Free> regex_;
};

/// For each level from the root the comments that stand right before the value or before what it is in.
using CommentStack = std::vector<std::vector<std::string>>;

/// A Selector that is ready to be asked. Move-only; const use from any thread.
class Chooser {
 public:
  /// Errors: invalid (more than one rule, an expression that is none).
  static Result<Chooser> create(const Selector& selector);

  /// `path`: the keys from the root to the value; of a comment those to the map or list that holds it.
  bool encrypts(const std::vector<std::string_view>& path, const CommentStack& comments, bool is_comment) const;
  /// True when a comment that is written encrypted would be taken for one that keeps its value plain.
  bool misreads_comment(std::string_view encrypted) const;

 private:
  explicit Chooser(Selector selector) : selector_(std::move(selector)) {}
  bool by_comments(const CommentStack& comments, bool is_comment) const;
  Selector selector_;
  std::vector<Regex> regex_;  ///< at most one
};

}  // namespace opi::secrets::sops
