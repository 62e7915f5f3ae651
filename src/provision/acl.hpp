#pragma once
/// @file
/// PostgreSQL's access lists in their text form ("grantee=privileges/grantor"), and what we ask of them.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace opi::provision {

/// One entry: who may do what, by whose grant.
struct AclEntry {
  std::string grantee;     ///< empty: PUBLIC
  std::string privileges;  ///< one letter each, as in PostgreSQL's table of privilege abbreviations, without the stars
  std::string grantable;   ///< those of `privileges` that may be passed on
  std::string grantor;
  friend bool operator==(const AclEntry&, const AclEntry&) = default;
};
using Acl = std::vector<AclEntry>;

/// Reads entries that are separated by line breaks: `array_to_string(acl, E'\n')`. Names that need it are in double
/// quotes, as the server writes them. Errors: invalid.
Result<Acl> parse_acl(std::string_view text);

/// All privileges of `grantee` ("" is PUBLIC), whoever granted them, each letter once.
std::string privileges_of(const Acl& acl, std::string_view grantee);

/// "CONNECT, TEMPORARY" for "cT"; an unknown letter stands for itself.
std::string privilege_names(std::string_view letters);

}  // namespace opi::provision
