#include "secrets/sops_selector.hpp"

#include <re2/re2.h>

#include <algorithm>
#include <array>

namespace opi::secrets::sops {
namespace {

constexpr std::int64_t regex_memory_max = std::int64_t{8} << 20U;
constexpr std::size_t pattern_bytes_max = 10'000;

re2::StringPiece piece(std::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

void Regex::Free::operator()(re2::RE2* regex) const noexcept {
  std::default_delete<re2::RE2>()(regex);
}

Result<Regex> Regex::compile(std::string_view pattern) {
  if (pattern.size() > pattern_bytes_max) return failure(ErrorKind::invalid, "a regular expression of over 10 kB");
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(regex_memory_max);
  std::unique_ptr<re2::RE2, Free> regex(std::make_unique<re2::RE2>(piece(pattern), options).release());
  if (!regex->ok()) return failure(ErrorKind::invalid, "not a regular expression: " + regex->error());
  return Regex(std::move(regex));
}

bool Regex::found_in(std::string_view text) const {
  return re2::RE2::PartialMatch(piece(text), *regex_);
}

Result<Chooser> Chooser::create(const Selector& selector) {
  const std::array<const std::string*, 6> rules{&selector.unencrypted_suffix,        &selector.encrypted_suffix,
                                                &selector.unencrypted_regex,         &selector.encrypted_regex,
                                                &selector.unencrypted_comment_regex, &selector.encrypted_comment_regex};
  const auto set = std::ranges::count_if(rules, [](const std::string* rule) { return !rule->empty(); });
  if (set > 1) {
    return failure(ErrorKind::invalid,
                   "more than one of unencrypted_suffix, encrypted_suffix, unencrypted_regex, encrypted_regex, "
                   "unencrypted_comment_regex, encrypted_comment_regex");
  }
  Chooser chooser(selector);
  if (set == 0) chooser.selector_.unencrypted_suffix = "_unencrypted";
  for (std::size_t i = 2; i < rules.size(); ++i) {
    if (rules.at(i)->empty()) continue;
    auto regex = Regex::compile(*rules.at(i));
    if (!regex) return failure(std::move(regex.error()));
    chooser.regex_.push_back(std::move(*regex));
  }
  return chooser;
}

bool Chooser::by_comments(const CommentStack& comments, bool is_comment) const {
  const Regex& regex = regex_.front();
  for (std::size_t level = 0; level < comments.size(); ++level) {
    for (std::size_t i = 0; i < comments[level].size(); ++i) {
      // The comment that says "encrypt" is itself left alone.
      const bool itself = is_comment && level + 1 == comments.size() && i + 1 == comments[level].size();
      const bool asks = !selector_.encrypted_comment_regex.empty();
      if (asks && itself) continue;
      if (regex.found_in(comments[level][i])) return asks;
    }
  }
  return selector_.encrypted_comment_regex.empty();
}

bool Chooser::encrypts(const std::vector<std::string_view>& path, const CommentStack& comments, bool is_comment) const {
  const auto any = [&path](const auto& matches) { return std::ranges::any_of(path, matches); };
  const Selector& rule = selector_;
  if (!rule.unencrypted_suffix.empty()) {
    return !any([&](std::string_view key) { return key.ends_with(rule.unencrypted_suffix); });
  }
  if (!rule.encrypted_suffix.empty()) {
    return any([&](std::string_view key) { return key.ends_with(rule.encrypted_suffix); });
  }
  if (!rule.unencrypted_regex.empty() || !rule.encrypted_regex.empty()) {
    const bool found = any([&](std::string_view key) { return regex_.front().found_in(key); });
    return rule.encrypted_regex.empty() ? !found : found;
  }
  return by_comments(comments, is_comment);
}

bool Chooser::misreads_comment(std::string_view encrypted) const {
  return !selector_.unencrypted_comment_regex.empty() && regex_.front().found_in(encrypted);
}

}  // namespace opi::secrets::sops
