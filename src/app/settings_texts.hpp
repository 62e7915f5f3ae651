#pragma once
/// @file
/// What the text of a setting must be, beyond its type.

#include <optional>
#include <string>
#include <string_view>

namespace opi::app {

/// What is wrong and what instead; nothing when all is well.
using Problem = std::optional<std::string>;

/// One sort of text.
struct TextRule {
  bool may_be_empty = false;
  std::string_view takes = "a text";  ///< for people
  Problem (*check)(std::string_view) = nullptr;
};

extern const TextRule plain;
extern const TextRule optional_text;
extern const TextRule database_name;
extern const TextRule namespace_prefix;
extern const TextRule host_name;
extern const TextRule branch_name;
extern const TextRule git_url;
extern const TextRule proxy_url;
extern const TextRule listen_address;
extern const TextRule path_pattern;
extern const TextRule list_host;
extern const TextRule project_name;
extern const TextRule approval_kind;
extern const TextRule file_name;
extern const TextRule optional_file_name;

/// The rule's check, and those of every text: not too long, no control characters.
Problem check_text(std::string_view text, const TextRule& rule);

}  // namespace opi::app
