#pragma once
/// @file
/// What a copy that PostgreSQL made from a template still says of its source's roles, and the SQL that changes it.

#include <optional>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"

namespace opi::provision {

/// An object that names a role, as pg_shdepend has it; names as the server quotes them.
struct RoleMention {
  enum class How { owner, privilege, other };
  How how = How::owner;
  std::string type;      ///< "table", "large object", as pg_identify_object calls it
  std::string identity;  ///< "shop_prod.item"
  std::string role;      ///< unquoted
};

/// ALTER DEFAULT PRIVILEGES of a role.
struct DefaultMention {
  std::string role;
  std::string schema;                      ///< empty: everywhere
  char object = 'r';                       ///< as pg_default_acl has it: r, S, f, T, n, L
  std::vector<std::string> grantees = {};  ///< "": PUBLIC
};

/// Everything inside one database that names roles which it must not name.
struct Mentions {
  std::vector<RoleMention> objects;
  std::vector<DefaultMention> defaults;
  bool empty() const noexcept { return objects.empty() && defaults.empty(); }
};

/// What belongs to one of `roles`, and rights of any role but `except`. Reads only.
Task<Result<Mentions>> observe_mentions(pg::Connection* connection, std::vector<std::string> roles, std::string except);

/// Why PostgreSQL cannot give that to another owner: an extension has none that could be changed, a policy names its
/// roles. Empty: it can. Pure.
std::optional<std::string> beyond_template(const Mentions& mentions);

/// Gives everything to `owner` and takes the rights of all others: what a copy by pg_dump has. Pure; ends with a line
/// break, or is empty. To be run as a superuser, or with the rights of both owners.
std::string take_over_text(const Mentions& mentions, const std::string& owner);

}  // namespace opi::provision
