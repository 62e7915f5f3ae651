#pragma once
/// @file
/// What a server's catalogs say: plain values, filled by `observe.hpp`, read by `plan.hpp`.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "provision/acl.hpp"

namespace opi::provision {

/// Who we are on a server, and what it is.
struct ServerFacts {
  int version = 0;           ///< 150020
  std::string version_text;  ///< "15.20"
  std::string admin;         ///< the role that our session logged in as
  bool superuser = false;
  bool inherit = true;  ///< it has the rights of the roles it is a member of without asking
};

/// A membership of a role in another.
struct Membership {
  std::string role;  ///< the group
  std::string member;
  bool admin = false;
  bool inherit = true;  ///< on servers before 16 the member's INHERIT attribute decides
  bool set = true;      ///< before 16 every member may SET ROLE
};

/// One setting of a role, everywhere or in one database.
struct RoleSetting {
  std::string database;  ///< empty: everywhere
  std::string name;
  std::string value;
};

struct ObservedRole {
  std::string name;
  bool login = false;
  bool superuser = false, create_db = false, create_role = false, replication = false, bypass_rls = false;
  bool inherit = true;
  bool expired = false;  ///< VALID UNTIL is over, by the server's clock
  std::int64_t connection_limit = -1;
  std::string comment;
  std::optional<std::string> verifier = {};  ///< as stored; only where our admin may read it, and the role has one
  bool verifier_known = false;               ///< whether it could be read
  std::vector<Membership> memberships = {};  ///< the groups it is a member of
  std::vector<RoleSetting> settings = {};
};

struct ObservedDatabase {
  std::string name;
  std::string owner;
  std::string encoding;
  std::string locale = {};  ///< LC_COLLATE
  bool allow_connections = true;
  std::int64_t connection_limit = -1;
  Acl acl;  ///< with the server's default where the catalog has none
};

/// Everything of a server outside its databases, as far as it was asked for.
struct ObservedServer {
  ServerFacts facts;
  std::unordered_map<std::string, ObservedRole> roles;
  std::unordered_map<std::string, ObservedDatabase> databases;
  /// Members of our roles that are not our roles themselves, the admin among them.
  std::vector<Membership> foreign_memberships = {};
  /// Sessions of logins, as far as they were counted.
  std::unordered_map<std::string, std::int64_t> sessions = {};

  const ObservedRole* role(const std::string& name) const {
    const auto found = roles.find(name);
    return found == roles.end() ? nullptr : &found->second;
  }
  const ObservedDatabase* database(const std::string& name) const {
    const auto found = databases.find(name);
    return found == databases.end() ? nullptr : &found->second;
  }
};

struct ObservedSchema {
  std::string name;
  std::string owner;
  Acl acl;
  std::int64_t objects = 0;  ///< what depends on it: tables, functions, types …
  bool manageable = true;    ///< our admin is superuser, or the database's owner has the rights of the schema's
};

/// One entry of pg_default_acl.
struct ObservedDefaultAcl {
  std::string owner;
  std::string schema;  ///< empty: all of the database
  char object = 'r';   ///< r tables, S sequences, f functions, T types, n schemas
  Acl acl;
};

/// Something in our schemas that belongs to another role.
struct ForeignObject {
  std::string type;      ///< as ALTER takes it: "TABLE"
  std::string identity;  ///< as ALTER takes it, quoted by the server
  std::string owner;
};

/// The inside of one database.
struct ObservedInside {
  std::vector<ObservedSchema> schemas;
  std::vector<ObservedDefaultAcl> defaults;
  std::vector<std::string> extensions;
  std::vector<ForeignObject> foreign_objects = {};  ///< only of adopted deployments

  const ObservedSchema* schema(std::string_view name) const {
    for (const auto& one : schemas) {
      if (one.name == name) return &one;
    }
    return nullptr;
  }
};

/// The inside of a database that was just made from template0 for `owner`.
ObservedInside fresh_inside(const ServerFacts& facts);

}  // namespace opi::provision
