#pragma once
/// @file
/// What project files ask of PostgreSQL, for the deployments that are ours: a pure function of parsed projects and
/// rules.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/place.hpp"
#include "project/model.hpp"
#include "project/naming.hpp"

namespace opi::provision {

/// Where a declaration comes from: a version of a file.
struct SourceRef {
  std::string file;         ///< as messages name it: its path, behind "team-a:" when its repository has a name
  std::string blob = {};    ///< Git's id of that version; empty when it was read from disk
  std::string commit = {};  ///< the commit it was seen at
  friend bool operator==(const SourceRef&, const SourceRef&) = default;
};

/// The repositories whose files are followed.
struct FollowedRepositories {
  /// What stands before the path in the names of a repository's files ("team-a:", or nothing) → its URL, without a
  /// password.
  std::map<std::string, std::string, std::less<>> urls = {};

  /// The URL of the one that `file` is in; "" when it is followed no more.
  std::string_view of(std::string_view file) const;
};

/// A parsed project and where it comes from.
struct SourcedProject {
  project::Project project;
  SourceRef source;
};

/// What the operator decides about deployments. A plain value.
struct DesiredRules {
  std::string cluster = "local";          ///< deployments of other clusters are not ours
  std::string namespace_prefix = "rig-";  ///< put before the namespaces of project files
  std::string control_database = "opi";   ///< a deployment may not take its name
  /// Which projects may name a further pool; "*" is everybody. `main` is open to all and needs no entry.
  std::map<std::string, std::vector<std::string>, std::less<>> pool_projects = {};
  /// Extensions that may be declared. All of the default ones are trusted: their owner needs no superuser.
  std::vector<std::string> allowed_extensions = {
      "btree_gin",       "btree_gist", "citext",   "cube",      "dict_int", "fuzzystrmatch",
      "hstore",          "intarray",   "isn",      "lo",        "ltree",    "pg_trgm",
      "pgcrypto",        "plpgsql",    "seg",      "tablefunc", "tcn",      "tsm_system_rows",
      "tsm_system_time", "unaccent",   "uuid-ossp"};
};

/// The value of a connection limit that limits nothing, as PostgreSQL writes it.
inline constexpr std::int64_t unlimited_connections = -1;

/// `clone-from`: its database begins as a copy of another deployment's. A plain value.
struct DesiredClone {
  std::string source;  ///< deployment of the same project
  project::CloneFrom::Mode mode = project::CloneFrom::Mode::once;
  bool force = false;
  bool by_template = false;
  Place place = {};
};

/// One deployment that wants a database. A plain value.
struct DesiredDeployment {
  std::string project;
  std::string deployment;
  std::string namespace_;        ///< with the cluster's prefix
  std::string pool = "main";     ///< the server its database lives on
  project::DatabaseNames names;  ///< roles and default schema
  /// The database in use: `names.base`, or a later generation of it ("shop_prod_v2"), which the inventory knows.
  std::string database = {};
  std::int64_t connection_limit = unlimited_connections;
  std::vector<std::string> schemas = {};     ///< in the order of search_path; the default one first
  std::vector<std::string> leaving = {};     ///< schemas that are marked for deletion: they go when they are empty
  std::vector<std::string> extensions = {};  ///< sorted, each once
  std::string encoding = "UTF8";             ///< of a database that is made, as the server writes it
  std::string locale = {};                   ///< LC_COLLATE and LC_CTYPE of it; empty: those of template0
  bool read_only_login = false;              ///< the reader may log in, with a password of its own
  std::string deletion = {};                 ///< "keep" or "remove"; empty: as the operator decides
  std::optional<DesiredClone> clone = {};
  SourceRef source = {};
  Place place = {};
  std::optional<Error> refusal = {};  ///< why nothing may be done for it; it is shown and left alone

  /// "shop/prod".
  std::string title() const { return project + "/" + deployment; }
  /// What is looked at inside the database: declared schemas, and those on their way out.
  std::vector<std::string> watched_schemas() const;
  /// SHA-256, in hex, of everything a change of which asks for a look inside the database. Where the declaration stands
  /// is no part of it.
  std::string inputs_hash() const;
};

/// All deployments of the rules' cluster that use a database, by project and deployment.
///
/// Pure and total: a declaration that cannot be fulfilled is in the result with its `refusal`, so that one broken
/// project never hides another. Refused are: one project name in two files, two declarations of one deployment, names
/// of which one is derived from the other (both sides, each naming the place of the other), names that PostgreSQL or we
/// keep for ourselves, a pool the project may not use, and extensions that are not allowed.
std::vector<DesiredDeployment> desired_state(const std::vector<SourcedProject>& projects, const DesiredRules& rules);

/// How far a deployment is from one that is no clone: 0 for those, 1 for a clone of one … In a pass each waits for the
/// rank before it. Empty when it is its own ancestor.
std::optional<std::size_t> clone_rank(const std::vector<DesiredDeployment>& all, const DesiredDeployment& one);

}  // namespace opi::provision
