#include "project/format.hpp"

#include <algorithm>

namespace opi::project {
namespace {

constexpr std::string_view armor_head = "-----BEGIN AGE ENCRYPTED FILE-----";

bool lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool digit(char c) {
  return c >= '0' && c <= '9';
}
bool letter(char c) {
  return lower(c) || upper(c);
}
bool all(std::string_view text, bool (*good)(char)) {
  return std::ranges::all_of(text, good);
}

bool is_one_of(char c, std::string_view set) {
  return set.find(c) != set.npos;
}

/// ^[a-z]([a-z0-9-]*[a-z0-9])?$
bool is_label(std::string_view text) {
  return !text.empty() && lower(text.front()) && text.back() != '-' &&
         all(text, [](char c) { return lower(c) || digit(c) || c == '-'; });
}

/// ^[a-z0-9]([a-z0-9-]*[a-z0-9])?$
bool is_cluster(std::string_view text) {
  return !text.empty() && text.front() != '-' && text.back() != '-' &&
         all(text, [](char c) { return lower(c) || digit(c) || c == '-'; });
}

bool is_domain(std::string_view text) {
  while (true) {
    const std::size_t dot = text.find('.');
    const std::string_view part = text.substr(0, dot);
    if (part.size() > 63 || !is_cluster(part)) return false;
    if (dot == text.npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_postfix(std::string_view text) {
  return !text.empty() && lower(text.front()) && all(text, [](char c) { return lower(c) || digit(c) || c == '_'; });
}

bool is_extension(std::string_view text) {
  return !text.empty() && (lower(text.front()) || text.front() == '_') &&
         all(text, [](char c) { return lower(c) || digit(c) || c == '_' || c == '-'; });
}

bool is_pool(std::string_view text) {
  return !text.empty() && lower(text.front()) &&
         all(text, [](char c) { return lower(c) || digit(c) || c == '_' || c == '-'; });
}

bool is_identifier(std::string_view text) {
  return !text.empty() && (letter(text.front()) || text.front() == '_') &&
         all(text, [](char c) { return letter(c) || digit(c) || is_one_of(c, "_$-"); });
}

bool is_age_recipient(std::string_view text) {
  return text.size() == 62 && text.starts_with("age1") &&
         all(text.substr(4), [](char c) { return is_one_of(c, "023456789acdefghjklmnpqrstuvwxyz"); });
}

bool is_sealed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  return text.starts_with(armor_head) || text.starts_with("age:") || text.starts_with("base64+age:");
}

bool is_image(std::string_view text) {
  return !text.empty() && (letter(text.front()) || digit(text.front())) &&
         all(text, [](char c) { return letter(c) || digit(c) || is_one_of(c, "._/:@+-"); });
}

bool is_variable_name(std::string_view text) {
  return !text.empty() && !digit(text.front()) && all(text, [](char c) { return letter(c) || digit(c) || c == '_'; });
}

bool is_one_line(std::string_view text) {
  return text.find_first_of("\r\n") == text.npos;
}

/// Nothing that a shell, a log or a header would stumble over.
bool is_url_text(std::string_view text) {
  return !text.empty() && all(text, [](char c) { return c > ' ' && c < 0x7F && !is_one_of(c, "\"'\\<>`{}|^"); });
}

bool is_url(std::string_view text) {
  for (const std::string_view scheme : {"https://", "http://", "ssh://", "git://"}) {
    if (text.starts_with(scheme)) {
      const std::string_view rest = text.substr(scheme.size());
      return is_url_text(rest) && rest.front() != '/' && rest.front() != '-';
    }
  }
  return false;
}

bool is_repository_url(std::string_view text) {
  if (text.find("://") != text.npos) return is_url(text);
  const std::size_t colon = text.find(':');
  if (colon == text.npos || colon + 1 == text.size()) return false;
  const auto host_char = [](char c) { return letter(c) || digit(c) || is_one_of(c, "._@-"); };
  const std::string_view host = text.substr(0, colon);
  return !host.empty() && host.front() != '-' && host.front() != '@' && std::ranges::all_of(host, host_char) &&
         is_url_text(text.substr(colon + 1));
}

bool is_branch(std::string_view text) {
  return !text.empty() && (letter(text.front()) || digit(text.front()) || text.front() == '_') &&
         text.find("..") == text.npos && text.find("//") == text.npos && !is_one_of(text.back(), "./") &&
         all(text, [](char c) { return letter(c) || digit(c) || is_one_of(c, "._/@#+=-"); });
}

bool is_path_text(std::string_view text) {
  return !text.empty() && all(text, [](char c) { return letter(c) || digit(c) || is_one_of(c, "._/@+~ -"); });
}

bool climbs(std::string_view path) {
  while (true) {
    const std::size_t slash = path.find('/');
    if (path.substr(0, slash) == "..") return true;
    if (slash == path.npos) return false;
    path.remove_prefix(slash + 1);
  }
}

bool is_relative_path(std::string_view text) {
  return is_path_text(text) && text.front() != '/' && !climbs(text);
}

bool is_absolute_path(std::string_view text) {
  return !text.empty() && text.front() == '/' && !climbs(text) &&
         all(text, [](char c) { return letter(c) || digit(c) || is_one_of(c, "._/@+~()|*$^-"); });
}

bool is_quantity(std::string_view text) {
  const auto skip_digits = [&text] {
    const std::size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(count);
    return count;
  };
  if (skip_digits() == 0) return false;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (skip_digits() == 0) return false;
  }
  constexpr std::string_view units[] = {"", "m", "k", "K", "Ki", "M", "Mi", "G", "Gi", "T", "Ti", "P", "Pi", "E", "Ei"};
  return std::ranges::find(units, text) != std::ranges::end(units);
}

bool is_email(std::string_view text) {
  const std::size_t at = text.find('@');
  if (at == 0 || at == text.npos || at + 1 == text.size() || text.find('@', at + 1) != text.npos) return false;
  return all(text, [](char c) { return letter(c) || digit(c) || is_one_of(c, "@.!#$%&'*+/=?^_`{|}~-"); });
}

bool is_word(std::string_view text) {
  return !text.empty() && all(text, [](char c) { return letter(c) || digit(c) || is_one_of(c, "_.-"); });
}

constexpr std::string_view label_pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$";
constexpr std::string_view label_rule = "lower-case letters, digits and dashes, with a letter first and no dash last";

}  // namespace

std::size_t code_points(std::string_view text) noexcept {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

namespace formats {

const Format project_name_2025{label_rule, label_pattern, 20, is_label, 1};
const Format project_name_2026{label_rule, label_pattern, 30, is_label, 1};
const Format label{label_rule, label_pattern, 63, is_label, 1};
const Format cluster{"lower-case letters, digits and dashes, with no dash first or last",
                     "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", 63, is_cluster, 1};
const Format domain{"a domain name in lower case",
                    "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$", 253, is_domain, 1};
const Format postfix{"lower-case letters, digits and underscores, with a letter first", "^[a-z][a-z0-9_]*$", 32,
                     is_postfix, 1};
const Format extension{"the name of a PostgreSQL extension in lower case", "^[a-z_][a-z0-9_-]*$", 63, is_extension, 1};
const Format pool{"lower-case letters, digits, dashes and underscores, with a letter first", "^[a-z][a-z0-9_-]*$", 63,
                  is_pool, 1};
const Format identifier{"a PostgreSQL name of letters, digits, '_', '$' and '-'", "^[A-Za-z_][A-Za-z0-9_$-]*$", 63,
                        is_identifier, 1};
const Format age_recipient{"an age public key (age1…, 62 characters)", "^age1[023456789acdefghjklmnpqrstuvwxyz]{58}$",
                           62, is_age_recipient};
const Format sealed{"an encrypted value: an armored AGE block, or one behind age: or base64+age:",
                    "^[ \\t\\r\\n]*(-----BEGIN AGE ENCRYPTED FILE-----|age:|base64\\+age:)",
                    100'000,
                    is_sealed,
                    1,
                    true};
const Format secret{"a text", "", 100'000, nullptr, 0, true};
const Format image{"an image reference: letters, digits and . _ / : @ + -", "^[A-Za-z0-9][A-Za-z0-9._/:@+-]*$", 512,
                   is_image, 1};
const Format variable_name{"letters, digits and underscores, with no digit first", "^[A-Za-z_][A-Za-z0-9_]*$", 255,
                           is_variable_name, 1};
const Format variable_value{"a text of one line", "^[^\\r\\n]*$", 32'768, is_one_line, 0, true};
const Format url{"a URL of http, https, ssh or git",
                 "^(https?|ssh|git)://[!#-&(-,.0-;=?-\\[\\]_a-z~][!#-&(-;=?-\\[\\]_a-z~]*$", 2'048, is_url, 1};
const Format repository_url{"a URL of http, https, ssh or git, or host:path",
                            "^((https?|ssh|git)://[!#-&(-,.0-;=?-\\[\\]_a-z~][!#-&(-;=?-\\[\\]_a-z~]*"
                            "|(?!.*://)[A-Za-z0-9._][A-Za-z0-9._@-]*:[!#-&(-;=?-\\[\\]_a-z~]+)$",
                            2'048, is_repository_url, 1};
const Format branch{"the name of a Git branch",
                    "^(?!.*(\\.\\.|//))[A-Za-z0-9_]([A-Za-z0-9._/@#+=-]*[A-Za-z0-9_@#+=-])?$", 255, is_branch, 1};
const Format relative_path{"a path inside the repository, without ..",
                           "^(?!(.*/)?\\.\\.(/|$))[A-Za-z0-9._@+~ -][A-Za-z0-9._/@+~ -]*$", 1'024, is_relative_path, 1};
const Format absolute_path{"a path that starts with /, without ..", "^(?!.*/\\.\\.(/|$))/[A-Za-z0-9._/@+~()|*$^-]*$",
                           1'024, is_absolute_path, 1};
const Format quantity{"a quantity like 500m, 0.5 or 1Gi", "^[0-9]+(\\.[0-9]+)?(m|[kK]|Ki|[MGTPE]i?)?$", 32, is_quantity,
                      1};
const Format email{"an e-mail address", "^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+$", 254,
                   is_email, 3};
const Format line{"a text of one line", "^[^\\r\\n]*$", 1'000, is_one_line};
const Format text{"a text", "", 20'000};
const Format word{"a word of letters, digits, '_', '.' and '-'", "^[A-Za-z0-9_.-]+$", 100, is_word, 1};

}  // namespace formats
}  // namespace opi::project
