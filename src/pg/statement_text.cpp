#include "pg/statement_text.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace opi::pg {
namespace {

constexpr std::size_t word_bytes_max = 63;

constexpr std::array<std::string_view, 10> harmless_beginnings = {"select", "insert", "update", "delete", "merge",
                                                                  "values", "table",  "with",   "show",   "copy"};
constexpr std::array<std::string_view, 8> transaction_beginnings = {"begin",    "start", "commit",    "end",
                                                                    "rollback", "abort", "savepoint", "release"};

constexpr std::array<std::string_view, 7> session_functions = {"set_config", "setseed", "nextval", "setval",
                                                               "currval",    "lastval", "dblink"};
constexpr std::array<std::string_view, 3> session_function_prefixes = {"pg_advisory", "pg_try_advisory", "dblink_"};

constexpr bool is_word_start(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
constexpr bool is_word(char c) noexcept {
  return is_word_start(c) || (c >= '0' && c <= '9') || c == '$';
}
constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Walks the tokens of SQL as PostgreSQL's lexer does (scan.l, with standard_conforming_strings on).
class Scanner {
 public:
  enum class Kind { end, word, quoted_word, semicolon, open, other, unclear };

  explicit Scanner(std::string_view sql) noexcept : rest_(sql) {}

  /// The next token; its word, lower-cased and cut to 63 bytes, is in `word()`.
  Kind next() noexcept {
    if (!skip_space_and_comments()) return Kind::unclear;
    if (rest_.empty()) return Kind::end;
    const char c = rest_.front();
    if (c == '\0') return Kind::unclear;
    if (c == '\'') return skip_quoted(false) ? Kind::other : Kind::unclear;
    if (c == '"') return take_quoted_word();
    if (c == '$') return skip_dollar();
    if (is_word_start(c)) return take_word();
    if (c >= '0' && c <= '9') {
      while (!rest_.empty() && (is_word(rest_.front()) || rest_.front() == '.')) rest_.remove_prefix(1);
      return Kind::other;
    }
    rest_.remove_prefix(1);
    if (c == ';') return Kind::semicolon;
    return c == '(' ? Kind::open : Kind::other;
  }

  std::string_view word() const noexcept { return {word_.data(), size_}; }

 private:
  bool skip_space_and_comments() noexcept {
    for (;;) {
      while (!rest_.empty() && (rest_.front() == ' ' || (rest_.front() >= '\t' && rest_.front() <= '\r'))) {
        rest_.remove_prefix(1);
      }
      if (rest_.starts_with("--")) {
        rest_.remove_prefix(std::min(rest_.find_first_of("\r\n"), rest_.size()));
      } else if (rest_.starts_with("/*")) {
        if (!skip_block_comment()) return false;
      } else {
        return true;
      }
    }
  }

  bool skip_block_comment() noexcept {
    int depth = 0;
    do {
      if (rest_.starts_with("/*")) {
        ++depth;
        rest_.remove_prefix(2);
      } else if (rest_.starts_with("*/")) {
        --depth;
        rest_.remove_prefix(2);
      } else if (rest_.empty()) {
        return false;
      } else {
        rest_.remove_prefix(1);
      }
    } while (depth > 0);
    return true;
  }

  /// A string: '' is a quote within it, and with `escapes` so is \'.
  bool skip_quoted(bool escapes) noexcept {
    for (std::size_t at = 1; at < rest_.size(); ++at) {
      if (escapes && rest_[at] == '\\') {
        ++at;
      } else if (rest_[at] == '\'') {
        if (at + 1 < rest_.size() && rest_[at + 1] == '\'') {
          ++at;
          continue;
        }
        rest_.remove_prefix(at + 1);
        return true;
      }
    }
    return false;
  }

  Kind take_quoted_word() noexcept {
    size_ = 0;
    for (std::size_t at = 1; at < rest_.size(); ++at) {
      if (rest_[at] == '"') {
        if (at + 1 >= rest_.size() || rest_[at + 1] != '"') {
          rest_.remove_prefix(at + 1);
          return Kind::quoted_word;
        }
        ++at;
      }
      if (size_ < word_bytes_max) word_[size_++] = rest_[at];
    }
    return Kind::unclear;
  }

  Kind skip_dollar() noexcept {
    std::size_t end = 1;
    if (end < rest_.size() && rest_[end] >= '0' && rest_[end] <= '9') {  // a parameter
      while (end < rest_.size() && rest_[end] >= '0' && rest_[end] <= '9') ++end;
      rest_.remove_prefix(end);
      return Kind::other;
    }
    while (end < rest_.size() && is_word(rest_[end]) && rest_[end] != '$') ++end;
    if (end >= rest_.size() || rest_[end] != '$') return Kind::unclear;
    const std::string_view tag = rest_.substr(0, end + 1);
    const std::size_t close = rest_.find(tag, tag.size());
    if (close == std::string_view::npos) return Kind::unclear;
    rest_.remove_prefix(close + tag.size());
    return Kind::other;
  }

  Kind take_word() noexcept {
    size_ = 0;
    std::size_t at = 0;
    for (; at < rest_.size() && is_word(rest_[at]); ++at) {
      if (size_ < word_bytes_max) word_[size_++] = lower(rest_[at]);
    }
    rest_.remove_prefix(at);
    if (rest_.empty()) return Kind::word;
    if (rest_.front() == '\'' && word() == "e") return skip_quoted(true) ? Kind::other : Kind::unclear;
    if (rest_.starts_with("&\"") && word() == "u") return Kind::unclear;  // U&"…": a name in disguise
    return Kind::word;
  }

  std::string_view rest_;
  std::array<char, word_bytes_max> word_{};
  std::size_t size_ = 0;
};

bool changes_session(std::string_view function) noexcept {
  return std::ranges::find(session_functions, function) != session_functions.end() ||
         std::ranges::any_of(session_function_prefixes,
                             [&](std::string_view prefix) { return function.starts_with(prefix); });
}

}  // namespace

StatementEffects effects_of(std::string_view sql) noexcept {
  using Kind = Scanner::Kind;
  StatementEffects effects{
      .dirties_session = false, .names_statements = false, .copies = false, .controls_transaction = false};
  Scanner scanner(sql);
  bool at_beginning = true;
  bool after_insert = false;  // INTO may follow
  for (;;) {
    const Kind kind = scanner.next();
    if (kind == Kind::end) return effects;
    if (kind == Kind::unclear)
      return {.dirties_session = true, .names_statements = true, .copies = true, .controls_transaction = true};
    if (kind == Kind::semicolon) {
      at_beginning = true;
      continue;
    }
    if (kind == Kind::word || kind == Kind::quoted_word) {
      const std::string_view word = scanner.word();
      if (kind == Kind::word && (word == "prepare" || word == "deallocate" || word == "discard")) {
        effects.names_statements = true;
      }
      if (at_beginning) {
        const bool controls = std::ranges::find(transaction_beginnings, word) != transaction_beginnings.end();
        if (word == "copy") effects.copies = true;
        if (controls) effects.controls_transaction = true;
        if (!controls && std::ranges::find(harmless_beginnings, word) == harmless_beginnings.end()) {
          effects.dirties_session = true;
        }
      }
      if (word == "into" && kind == Kind::word && !after_insert) effects.dirties_session = true;
      if (changes_session(word)) effects.dirties_session = true;
      after_insert = kind == Kind::word && (word == "insert" || word == "merge");
    } else {
      if (at_beginning && kind != Kind::open) effects.dirties_session = true;
      after_insert = false;
    }
    if (kind != Kind::open) at_beginning = false;
  }
}

}  // namespace opi::pg
