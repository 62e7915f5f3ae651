#pragma once
/// @file
/// A project file as typed values: what somebody declared, and where each declaration stands.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/place.hpp"

namespace opi::project {

/// A value and the place it was written at.
template <class T>
struct Located {
  T value{};
  Place place = {};
};
using Text = Located<std::string>;

/// config.*: all optional; ciphertexts stay as written (armored or prefixed), nothing is decrypted here.
struct ProjectConfig {
  std::optional<Text> age_public_key = {};
  std::optional<Text> age_private_key = {};  ///< sealed to the platform key
  std::optional<Text> api_key = {};          ///< sealed to the project key
};

/// users[].
struct User {
  Text email;
  std::string role = {};
};

/// repositories[]: kept, never contacted; passwords are not kept.
struct Repository {
  Text name;
  std::string url = {};
  std::string username = {};
  std::string branch = "main";
  std::string path = ".";
};

/// components[]: which services a component uses; the rest of it is validated and not acted on.
struct Component {
  Text name;
  std::vector<Text> services = {};  ///< `uses-services` of 2025, `services` of 2026
  std::string type = "deployment";  ///< or "cronjob", "daemonset"
  std::vector<int> ports = {};      ///< inbound
};

/// deployments[].clone-from, in either layout.
struct CloneFrom {
  enum class Type { deployment, remote_source, backup };
  enum class Mode { once, always };
  Type type = Type::deployment;
  Mode mode = Mode::once;
  Text reference;
  bool completed = false;  ///< the file's own record (`status.completed`)
};

/// An extra schema of service postgresql-database.
struct ExtraSchema {
  Text postfix;
  std::string description = {};
  bool marked_for_deletion = false;
};

/// How the project wants its databases.
struct DatabaseService {
  bool wanted_by_project = false;  ///< named in the project's `services`
  std::vector<ExtraSchema> schemas = {};
  std::optional<Text> pool = {};  ///< the named pool (server) its databases live on; none: main
  std::optional<std::int64_t> connection_limit = {};
  std::vector<Text> extensions = {};
  std::optional<Text> encoding = {};  ///< of a database that is made; none: UTF8
  std::optional<Text> locale = {};    ///< LC_COLLATE and LC_CTYPE of it; none: the server's template0
  bool read_only_login = false;       ///< the reader may log in, with a password of its own
  std::optional<Text> deletion = {};  ///< "keep" or "remove"
  std::string scope = "shared";       ///< or "project": a server of its own, which is not ours to provide
  Place place = {};                   ///< of the entry in `services`; unknown when there is none
};

/// deployments[].
struct Deployment {
  Text name;
  Text cluster;
  Text namespace_;                    ///< without the cluster's prefix; the project's name when not given
  std::vector<Text> components = {};  ///< references
  std::optional<Text> repository = {};
  std::optional<CloneFrom> clone_from = {};
  bool force_clone = false;
  bool clone_by_template = false;        ///< `clone-method: template`: faster, and ends the source's sessions
  std::int64_t database_generation = 0;  ///< services[].config.generation of 2026 files; 0: none is recorded
  bool uses_database = false;            ///< one of its components uses postgresql-database
  Place place = {};
};

/// One project file, valid.
struct Project {
  Text name;
  std::string display_name = {};
  std::string description = {};
  std::string schema_version = {};  ///< empty: the layout of 2025
  std::vector<std::string> clusters = {};
  ProjectConfig config = {};
  std::vector<User> users = {};
  std::vector<Repository> repositories = {};
  std::vector<Component> components = {};
  DatabaseService database = {};
  std::vector<Deployment> deployments = {};
  std::string file = {};  ///< as given to the parser
};

}  // namespace opi::project
