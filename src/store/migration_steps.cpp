// The schema of the control database, step by step. A released step is never edited: add one.
#include <array>

#include "store/migrations.hpp"

namespace opi::store {
namespace {

constexpr std::string_view inventory_sql = R"(
CREATE TABLE opi.servers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  system_identifier text UNIQUE,
  version integer NOT NULL,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE opi.servers IS 'PostgreSQL clusters that we provision on';

CREATE TABLE opi.server_pools (
  pool text PRIMARY KEY,
  server_id bigint NOT NULL REFERENCES opi.servers
);
COMMENT ON TABLE opi.server_pools IS 'the named pools that lead to a server';

CREATE TYPE opi.deployment_state AS ENUM ('wanted', 'ready', 'tombstone', 'removing');

CREATE TABLE opi.deployments (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project text NOT NULL,
  deployment text NOT NULL,
  cluster text NOT NULL,
  server_id bigint NOT NULL REFERENCES opi.servers,
  base_name text NOT NULL,
  database_name text NOT NULL,
  generation integer NOT NULL DEFAULT 0 CHECK (generation >= 0),
  namespace text NOT NULL,
  stamp text NOT NULL UNIQUE,
  state opi.deployment_state NOT NULL DEFAULT 'wanted',
  repository text NOT NULL,
  file text NOT NULL,
  blob_id text NOT NULL,
  commit_id text NOT NULL,
  inputs_hash text NOT NULL DEFAULT '',
  secret_hash text NOT NULL DEFAULT '',
  last_error text NOT NULL DEFAULT '',
  failures integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  changed_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  ready_at timestamptz,
  deep_look_at timestamptz,
  tombstone_at timestamptz,
  CONSTRAINT deployments_key UNIQUE (project, deployment),
  CONSTRAINT deployments_name UNIQUE (server_id, base_name)
);
COMMENT ON TABLE opi.deployments IS 'what we made and own; ownership is decided here first';
)";

constexpr std::string_view credentials_sql = R"(
CREATE TABLE opi.control_keys (
  name text PRIMARY KEY,
  sealed bytea NOT NULL,
  sealed_to text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE opi.control_keys IS 'values sealed to the platform key: the proof that it is the right one, and further keys';

CREATE TYPE opi.login_slot AS ENUM ('a', 'b', 'ro');
CREATE TYPE opi.credential_state AS ENUM ('intent', 'applied', 'verified', 'published', 'done', 'retired');

CREATE TABLE opi.credentials (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  deployment_id bigint NOT NULL REFERENCES opi.deployments ON DELETE CASCADE,
  slot opi.login_slot NOT NULL,
  login text NOT NULL,
  generation integer NOT NULL CHECK (generation > 0),
  state opi.credential_state NOT NULL DEFAULT 'intent',
  sealed bytea NOT NULL,
  sealed_to text NOT NULL,
  verifier text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  changed_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  published_at timestamptz,
  CONSTRAINT credentials_generation UNIQUE (deployment_id, slot, generation)
);
COMMENT ON TABLE opi.credentials IS 'the credential journal: written before anything is done with a password';
CREATE UNIQUE INDEX credentials_open ON opi.credentials (deployment_id, slot) WHERE state < 'done';
)";

constexpr std::string_view ledger_sql = R"(
CREATE TABLE opi.project_files (
  repository text NOT NULL,
  path text NOT NULL,
  blob_id text NOT NULL DEFAULT '',
  project text NOT NULL DEFAULT '',
  commit_id text NOT NULL DEFAULT '',
  acted_at timestamptz,
  error text NOT NULL DEFAULT '',
  error_blob_id text NOT NULL DEFAULT '',
  error_at timestamptz,
  PRIMARY KEY (repository, path)
);
COMMENT ON TABLE opi.project_files IS 'which version of each project file was acted on';

CREATE TYPE opi.outcome AS ENUM ('succeeded', 'failed', 'skipped');

CREATE TABLE opi.history (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL,
  project text NOT NULL,
  deployment text NOT NULL,
  server text NOT NULL,
  action text NOT NULL,
  statement text NOT NULL,
  cause_kind text NOT NULL,
  cause_id text NOT NULL,
  replica text NOT NULL,
  outcome opi.outcome NOT NULL,
  sqlstate text NOT NULL,
  message text NOT NULL,
  duration_us bigint NOT NULL
);
COMMENT ON TABLE opi.history IS 'every statement and decision, secrets removed';
CREATE INDEX history_project ON opi.history (project, id);
CREATE INDEX history_at ON opi.history (at);
)";

// A login that was replaced: until when it is valid, and until when its sessions may go on.
constexpr std::string_view rotation_sql = R"(
ALTER TABLE opi.credentials ADD COLUMN overlap_until timestamptz, ADD COLUMN grace_until timestamptz;
)";

// The way out of the inventory: what the project file said, when it goes, who confirmed it.
constexpr std::string_view removal_sql = R"(
ALTER TABLE opi.deployments
  ADD COLUMN deletion text NOT NULL DEFAULT '',
  ADD COLUMN remove_after timestamptz,
  ADD COLUMN removal_confirmed_at timestamptz,
  ADD COLUMN final_dump text NOT NULL DEFAULT '';
)";

// Differences that somebody made, from when they are first seen until they are gone.
constexpr std::string_view drift_sql = R"(
CREATE TABLE opi.drift (
  deployment_id bigint NOT NULL REFERENCES opi.deployments ON DELETE CASCADE,
  key text NOT NULL,
  detail text NOT NULL,
  inside boolean NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  PRIMARY KEY (deployment_id, key)
);
COMMENT ON TABLE opi.drift IS 'differences that somebody made, and since when we have seen them';
)";

// Where a broken version of a file was first seen; what somebody suspended.
constexpr std::string_view git_sql = R"(
ALTER TABLE opi.project_files
  ADD COLUMN error_commit_id text NOT NULL DEFAULT '',
  ADD COLUMN error_author text NOT NULL DEFAULT '';

CREATE TABLE opi.suspensions (
  kind text NOT NULL CHECK (kind IN ('repository', 'project')),
  name text NOT NULL,
  reason text NOT NULL DEFAULT '',
  since timestamptz NOT NULL DEFAULT pg_catalog.now(),
  PRIMARY KEY (kind, name)
);
COMMENT ON TABLE opi.suspensions IS 'what is left alone until somebody resumes it';
)";

// The age keys of projects, and what stands in the cluster.
constexpr std::string_view cluster_sql = R"(
CREATE TABLE opi.project_keys (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project text NOT NULL,
  recipient text NOT NULL,
  sealed bytea NOT NULL,
  sealed_to text NOT NULL,
  origin text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  retire_after timestamptz,
  CONSTRAINT project_keys_recipient UNIQUE (project, recipient)
);
COMMENT ON TABLE opi.project_keys IS 'age keys of projects, the private half sealed to the platform key';
CREATE UNIQUE INDEX project_keys_current ON opi.project_keys (project) WHERE retire_after IS NULL;

CREATE TABLE opi.cluster_objects (
  cluster text NOT NULL,
  kind text NOT NULL,
  name_space text NOT NULL,
  name text NOT NULL,
  project text NOT NULL,
  deployment text NOT NULL,
  inputs text NOT NULL,
  content_hash text NOT NULL,
  version text NOT NULL,
  problem text NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  PRIMARY KEY (cluster, kind, name_space, name)
);
COMMENT ON TABLE opi.cluster_objects IS 'what we wrote to clusters, and what is wrong with it';
)";

constexpr std::string_view started_sql = R"(
ALTER TYPE opi.outcome ADD VALUE 'started';
)";

constexpr std::string_view clones_sql = R"(
CREATE TYPE opi.clone_state AS ENUM ('begun', 'copied', 'done', 'discarded');

CREATE TABLE opi.clones (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  deployment_id bigint NOT NULL REFERENCES opi.deployments ON DELETE CASCADE,
  instruction text NOT NULL,
  source text NOT NULL,
  from_database text NOT NULL,
  database_name text NOT NULL,
  generation integer NOT NULL CHECK (generation >= 0),
  replaces text NOT NULL DEFAULT '',
  state opi.clone_state NOT NULL DEFAULT 'begun',
  begun_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  changed_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE opi.clones IS 'copies of databases: written before anything is made';
CREATE UNIQUE INDEX clones_open ON opi.clones (deployment_id) WHERE state < 'done';
CREATE INDEX clones_newest ON opi.clones (deployment_id, id);
)";

constexpr std::string_view adoption_sql = R"(
CREATE TYPE opi.adoption AS ENUM ('none', 'additive', 'full');
ALTER TABLE opi.deployments ADD COLUMN adoption opi.adoption NOT NULL DEFAULT 'none';
)";

constexpr std::string_view namespace_removal_sql = R"(
ALTER TABLE opi.cluster_objects ADD COLUMN to_go boolean NOT NULL DEFAULT false;
)";

constexpr std::array all_steps{
    Migration{.version = 1, .name = "inventory", .sql = inventory_sql},
    Migration{.version = 2, .name = "credential_journal", .sql = credentials_sql},
    Migration{.version = 3, .name = "file_ledger_and_history", .sql = ledger_sql},
    Migration{.version = 4, .name = "rotation", .sql = rotation_sql},
    Migration{.version = 5, .name = "removal", .sql = removal_sql},
    Migration{.version = 6, .name = "drift", .sql = drift_sql},
    Migration{.version = 7, .name = "git_heads_and_suspensions", .sql = git_sql},
    Migration{.version = 8, .name = "clusters", .sql = cluster_sql},
    Migration{.version = 9, .name = "history_is_written_ahead", .sql = started_sql},
    Migration{.version = 10, .name = "clones", .sql = clones_sql},
    Migration{.version = 11, .name = "adoption", .sql = adoption_sql},
    Migration{.version = 12, .name = "namespace_removal", .sql = namespace_removal_sql},
};

}  // namespace

std::span<const Migration> known_migrations() noexcept {
  return all_steps;
}

}  // namespace opi::store
