// Takes what looks like a secret out of a statement's text.
#include <algorithm>
#include <array>

#include "store/history.hpp"
#include "store/json_rows.hpp"

namespace opi::store {
namespace {

constexpr std::size_t statement_bytes_max = 8192;
constexpr std::string_view mask = "***";

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool word_character(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

bool space(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool starts_with_word(std::string_view text, std::string_view word) noexcept {
  return text.size() >= word.size() && std::ranges::equal(text.substr(0, word.size()), word, {}, lower);
}

/// Length of the string literal at the start of `text` ('…', E'…', $tag$…$tag$), 0 when there is none; one that does
/// not end runs to the end.
std::size_t literal_length(std::string_view text) noexcept {
  const std::size_t prefix = starts_with_word(text, "e'") ? 1 : 0;
  if (text.size() > prefix && text[prefix] == '\'') {
    for (std::size_t i = prefix + 1; i < text.size(); ++i) {
      if (prefix == 1 && text[i] == '\\') {
        ++i;
      } else if (text[i] == '\'') {
        if (i + 1 >= text.size() || text[i + 1] != '\'') return i + 1;
        ++i;
      }
    }
    return text.size();
  }
  if (text.empty() || text.front() != '$') return 0;
  const std::size_t tag_end = text.find('$', 1);
  if (tag_end == std::string_view::npos) return 0;
  const std::string_view tag = text.substr(0, tag_end + 1);
  if (!std::ranges::all_of(tag.substr(1, tag.size() - 2), word_character)) return 0;
  const std::size_t end = text.find(tag, tag.size());
  return end == std::string_view::npos ? text.size() : end + tag.size();
}

/// Length of what follows PASSWORD up to the end of its literal, and where in it the literal begins.
struct AfterPassword {
  std::size_t literal_at = 0;
  std::size_t length = 0;
};

AfterPassword after_password(std::string_view text) noexcept {
  std::size_t at = 0;
  while (at < text.size() && (space(text[at]) || text[at] == '=')) ++at;
  const std::size_t literal = literal_length(text.substr(at));
  return {.literal_at = at, .length = literal == 0 ? 0 : at + literal};
}

/// Length of a secret that is recognised by its own form, 0 otherwise.
std::size_t token_length(std::string_view text) noexcept {
  const auto run = [&](std::size_t from, auto belongs) {
    std::size_t end = from;
    while (end < text.size() && belongs(text[end])) ++end;
    return end;
  };
  const auto verifier = [](char c) {
    return word_character(c) || c == '$' || c == ':' || c == '+' || c == '/' || c == '=';
  };
  constexpr std::string_view scram = "scram-sha-256$";
  constexpr std::string_view identity = "age-secret-key-";
  constexpr std::string_view md5 = "md5";
  constexpr std::size_t md5_digits = 32;
  if (starts_with_word(text, scram)) return run(scram.size(), verifier);
  if (starts_with_word(text, identity)) return run(identity.size(), word_character);
  if (starts_with_word(text, md5)) {
    const std::size_t end =
        run(md5.size(), [](char c) { return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'f'); });
    if (end == md5.size() + md5_digits) return end;
  }
  return 0;
}

}  // namespace

std::string without_secrets(std::string_view sql) {
  constexpr std::string_view password = "password";
  std::string text;
  text.reserve(std::min(sql.size(), statement_bytes_max));
  bool at_word = true;  // the character before does not belong to a word
  while (!sql.empty() && text.size() <= statement_bytes_max) {
    const std::size_t token = token_length(sql);
    if (token > 0) {
      text.append(mask);
      sql.remove_prefix(token);
      at_word = false;
      continue;
    }
    if (at_word && starts_with_word(sql, password)) {
      const AfterPassword after = after_password(sql.substr(password.size()));
      if (after.length > 0) {
        text.append(sql.substr(0, password.size() + after.literal_at)).append("'").append(mask).append("'");
        sql.remove_prefix(password.size() + after.length);
        at_word = false;
        continue;
      }
    }
    at_word = !word_character(sql.front());
    text.push_back(sql.front());
    sql.remove_prefix(1);
  }
  return storable(text, statement_bytes_max);
}

}  // namespace opi::store
