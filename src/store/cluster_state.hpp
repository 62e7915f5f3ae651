#pragma once
/// @file
/// What we wrote to a cluster: which objects are ours, what they held, and what is wrong with them.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"
#include "store/credential_journal.hpp"

namespace opi::store {

/// One object. `kind`, `name_space` and `name` are its key within a cluster.
struct ClusterObjectRow {
  std::string kind;        ///< "Secret"
  std::string name_space;  ///< empty: it is in none
  std::string name;
  std::string project;
  std::string deployment;    ///< empty: of the namespace as a whole
  std::string inputs;        ///< SHA-256, in hex, of all that decides its content; never of a secret
  std::string content_hash;  ///< keyed hash of its plaintext; empty: it holds no secret
  std::string version;       ///< its uid in the cluster, or Git's id of its file
  std::string problem;       ///< why it is not as it should be; empty: it is
  bool to_go = false;        ///< a person said that it may be deleted; not written by record_cluster_objects
};

/// Everything known of `cluster`, by key. One statement.
Task<Result<std::vector<ClusterObjectRow>>> load_cluster_objects(pg::Connection* connection, std::string cluster);

/// One of them; nothing when it was never written.
Task<Result<std::optional<ClusterObjectRow>>> find_cluster_object(pg::Connection* connection, std::string cluster,
                                                                  std::string kind, std::string name_space,
                                                                  std::string name);

/// Writes them down, new or known, in one statement; durable when this returns.
Task<Result<>> record_cluster_objects(pg::Connection* connection, std::string cluster,
                                      std::vector<ClusterObjectRow> rows);

/// Forgets them, by key. One statement.
Task<Result<>> forget_cluster_objects(pg::Connection* connection, std::string cluster,
                                      std::vector<ClusterObjectRow> rows);

/// A person's word that an object may be deleted, or that it may not. One statement; durable when this returns.
Task<Result<>> mark_cluster_object(pg::Connection* connection, std::string cluster, std::string kind,
                                   std::string name_space, std::string name, bool to_go);

/// What an application logs in with, of one deployment.
struct PublishedCredential {
  std::string project;
  std::string deployment;
  std::string database;
  std::string schema;
  std::string pool;
  Credential credential;  ///< the last one published of slots a and b
};

/// Of every deployment of `cluster` that is ready, by project and deployment. One statement.
Task<Result<std::vector<PublishedCredential>>> published_credentials(pg::Connection* connection, std::string cluster);

/// Every deployment of `cluster` that is in the inventory, whatever its state: "shop/prod" → its namespace. One
/// statement.
Task<Result<std::map<std::string, std::string>>> inventoried_deployments(pg::Connection* connection,
                                                                         std::string cluster);

}  // namespace opi::store
