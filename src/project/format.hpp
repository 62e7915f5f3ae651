#pragma once
/// @file
/// What the strings of a project file may look like: one predicate and one JSON Schema pattern for each sort, tested to
/// say the same.

#include <cstddef>
#include <string_view>

namespace opi::project {

/// A sort of string. All of them live for the whole program.
struct Format {
  std::string_view what;     ///< for messages: "a DNS label (lower-case letters, digits, '-'; a letter first)"
  std::string_view pattern;  ///< ECMA 262, anchored; empty: only the lengths count
  std::size_t length_max;    ///< code points
  bool (*matches)(std::string_view) = nullptr;  ///< none: any
  std::size_t length_min = 0;
  bool secret = false;  ///< a value of it is never shown
};

namespace formats {

extern const Format project_name_2025;  ///< at most 20 characters
extern const Format project_name_2026;  ///< at most 30
extern const Format label;              ///< RFC 1123 label that starts with a letter, as Services and our names need it
extern const Format cluster;            ///< a label that may start with a digit
extern const Format domain;             ///< RFC 1123 subdomain
extern const Format postfix;            ///< of an extra schema: [a-z][a-z0-9_]*, at most 32
extern const Format extension;          ///< of PostgreSQL, "uuid-ossp"
extern const Format pool;               ///< a pool of the settings
extern const Format identifier;         ///< a PostgreSQL name as it may stand at a remote source
extern const Format age_recipient;      ///< "age1" and 58 characters of Bech32
extern const Format sealed;             ///< an armored AGE block, "age:" or "base64+age:" before one
extern const Format secret;             ///< any text that must not be shown: passwords with or without prefix
extern const Format image;              ///< an OCI reference
extern const Format variable_name;      ///< [A-Za-z_][A-Za-z0-9_]*
extern const Format variable_value;     ///< no CR, LF or NUL; not shown
extern const Format url;                ///< http, https, ssh or git
extern const Format repository_url;     ///< the same or host:path as ssh takes it
extern const Format branch;             ///< of Git
extern const Format relative_path;      ///< inside a repository: no "..", not absolute
extern const Format absolute_path;      ///< of a mount or a route
extern const Format quantity;           ///< of Kubernetes: 500m, 1Gi, 0.5
extern const Format email;
extern const Format line;  ///< free text of one line, at most 1,000 characters
extern const Format text;  ///< free text, at most 20,000 characters
extern const Format word;  ///< one word of letters, digits, '_', '-', '.', at most 100

}  // namespace formats

/// How many code points a valid UTF-8 text has.
std::size_t code_points(std::string_view text) noexcept;

}  // namespace opi::project
