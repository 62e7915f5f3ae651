#include "bench/provision_estate.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <utility>

#include "bench/await.hpp"
#include "pg/database_pools.hpp"
#include "provision/batch.hpp"
#include "provision/database_manager.hpp"
#include "provision/stamp.hpp"
#include "secrets/scram.hpp"
#include "store/prepare.hpp"

namespace opi::bench {
namespace {

using namespace std::chrono_literals;

constexpr const char* control_database = "bench_control";

SteadyTime in(std::chrono::seconds time) {
  return std::chrono::steady_clock::now() + time;
}

template <class T>
T value_of(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().to_string());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

std::string project_name(int number) {
  return fmt::format("bench-{:05}", number);  // in the order of their files, as Git lists them
}

std::string project_text(int number, int limit) {
  return fmt::format(
      "name: {}\nclusters: [local]\nservices:\n  - postgresql-database:\n      config: {{connection-limit: {}}}\n"
      "components:\n  - name: web\n    uses-services: [postgresql-database]\ndeployments:\n"
      "  - name: prod\n    cluster: local\n    components: [{{reference: web, image: registry.example/web:1}}]\n",
      project_name(number), limit);
}

constexpr int usual_limit = 20;

}  // namespace

struct ProvisionEstate::State {
  ProvisionRun run;
  pg::ServerSettings server;
  asio::io_context io;
  aio::BlockingPool blocking{4};
  secrets::PlatformKey key = secrets::PlatformKey::generate();
  int declared = 0;
  int first_limit = usual_limit;
  std::optional<provision::ProjectManager> projects;
  std::unique_ptr<pg::DatabasePools> pools;

  template <class T>
  T await(Task<T> task) {
    return bench::await(io, std::move(task));
  }

  pg::DatabasePool& main() { return pools->get("main")->get(); }

  void open() {
    pools = std::make_unique<pg::DatabasePools>(io.get_executor(), blocking, Logger{});
    pg::PoolConfig config{.name = "main", .server = server, .pool = {}};
    config.server.database = control_database;
    config.pool.min = 0;
    config.pool.max = static_cast<std::uint32_t>(run.parallel);
    std::vector<pg::PoolConfig> configs;
    configs.push_back(std::move(config));
    static_cast<void>(value_of(await(pools->initialize(std::move(configs), in(20s)))));
  }
  void close() {
    if (pools) static_cast<void>(await(pools->close(in(10s))));
    pools.reset();
  }

  void parse_one(int i) {
    const int limit = i == 0 ? first_limit : usual_limit;
    const auto errors = projects->replace(fmt::format("projects/{}.yaml", project_name(i)), fmt::format("b{}", limit),
                                          "c1", project_text(i, limit));
    if (!errors.empty()) throw std::runtime_error(errors.front().to_string());
  }
  void parse() {
    projects.emplace();
    for (int i = 0; i < declared; ++i) parse_one(i);
  }

  enum class Files { all, first, none };  ///< that are parsed

  PassCost pass(bool reopen, Files files) {
    if (reopen) close();
    const Stopwatch watch;
    if (reopen) open();
    const auto dials = reopen ? 0 : main().stats().dials;
    if (files == Files::all) parse();
    if (files == Files::first) parse_one(0);  // as the daemon does when a file has changed: the others are known
    const provision::Selection selection =
        files == Files::first ? provision::Selection{.files = {fmt::format("projects/{}.yaml", project_name(0))}}
                              : provision::Selection{};
    provision::ManagerSettings settings;
    settings.rules.control_database = control_database;
    settings.repositories = {.urls = {{"", "/srv/bench.git"}}};
    settings.parallelism = static_cast<std::uint32_t>(run.parallel);
    provision::DatabaseManager manager(*projects, main(), settings,
                                       {.pools = pools.get(), .key = &key, .blocking = &blocking});
    const auto report =
        value_of(await(manager.apply(selection, {.kind = "command", .id = "bench", .replica = "bench"})));
    PassCost cost{.seconds = watch.wall_seconds(), .cpu_seconds = watch.cpu_seconds()};
    for (const auto& one : report.deployments) {
      if (one.error) throw std::runtime_error(one.title() + ": " + one.error->to_string());
      cost.changed += one.actions != 0 ? 1U : 0U;
    }
    const auto& stats = manager.stats();
    cost.statements = stats.statements;
    cost.connections = main().stats().dials - dials + stats.tenant_connections + stats.login_checks;
    return cost;
  }

  Task<Result<>> forget_everything();
  Task<Result<>> run_all(std::vector<std::string> statements, std::string database);
};

Task<Result<>> ProvisionEstate::State::run_all(std::vector<std::string> statements, std::string database) {
  auto settings = server;
  settings.database = std::move(database);
  settings.statement_timeout = 10min;
  auto connection = co_await pg::Connection::connect(io.get_executor(), settings, blocking, in(20s));
  if (!connection) co_return failure(std::move(connection.error()));
  for (auto& statement : statements) {
    auto done = co_await connection->execute(std::move(statement));
    if (!done) co_return failure(std::move(done.error()));
  }
  co_await connection->close(in(5s));
  co_return Result<>{};
}

Task<Result<>> ProvisionEstate::State::forget_everything() {
  auto settings = server;
  settings.database = "postgres";
  auto connection = co_await pg::Connection::connect(io.get_executor(), settings, blocking, in(20s));
  if (!connection) co_return failure(std::move(connection.error()));
  auto statements = co_await connection->query(
      "SELECT format('DROP DATABASE %I WITH (FORCE)', datname) FROM pg_database WHERE datname ~ '^(bench|bare)_' "
      "UNION ALL SELECT format('DROP ROLE %I', rolname) FROM pg_roles WHERE rolname ~ '^(bench|bare)_'");
  if (!statements) co_return failure(std::move(statements.error()));
  for (const auto& row : *statements) {
    auto done = co_await connection->execute(std::string(row.text(0)));
    if (!done) co_return failure(std::move(done.error()));
  }
  auto done = co_await connection->execute(fmt::format("CREATE DATABASE {} TEMPLATE template0", control_database));
  if (!done) co_return failure(std::move(done.error()));
  co_await connection->close(in(5s));
  co_return Result<>{};
}

ProvisionEstate::ProvisionEstate(const ProvisionRun& run, const pg::ServerSettings& server)
    : state_(std::make_unique<State>()) {
  state_->run = run;
  state_->server = server;
  value_of(state_->await(state_->forget_everything()));
  state_->open();
  auto lease = state_->await(state_->main().acquire());
  if (!lease) throw std::runtime_error(lease.error().to_error().to_string());
  static_cast<void>(value_of(state_->await(store::prepare_control_store(&**lease, &state_->key, in(20s)))));
}

ProvisionEstate::~ProvisionEstate() {
  state_->close();
}

void ProvisionEstate::declare(int count) {
  state_->declared = count;
}

void ProvisionEstate::change_first() {
  ++state_->first_limit;
}

PassCost ProvisionEstate::pass() {
  return state_->pass(false, State::Files::all);
}

PassCost ProvisionEstate::pass_of_known() {
  return state_->pass(false, State::Files::none);
}

PassCost ProvisionEstate::pass_of_first() {
  return state_->pass(false, State::Files::first);
}

PassCost ProvisionEstate::fresh_pass() {
  return state_->pass(true, State::Files::all);
}

/// One real deployment, and as many rows like its own as there are to be others.
void ProvisionEstate::fill_catalogue() {
  declare(state_->run.deployments);
  state_->parse();
  std::vector<std::string> hashes;
  for (const auto& one : provision::desired_state(state_->projects->projects(), {.control_database = control_database}))
    hashes.push_back(fmt::format("('{}','{}','{}')", one.project, one.names.base, one.inputs_hash()));
  const std::string values = fmt::format("{}", fmt::join(hashes, ","));
  std::vector<std::string> statements{
      "SET allow_system_table_mods = on",
      "CREATE TEMP TABLE others AS SELECT row_number() OVER () AS n, project, base, inputs, "
      "md5(project) AS stamp FROM (VALUES " +
          values + ") v(project, base, inputs) WHERE project <> 'bench-00000'",
      "CREATE TEMP TABLE kinds AS SELECT * FROM (VALUES (0, ''), (1, '_ro'), (2, '__a'), (3, '__b')) k(k, suffix)",
      "INSERT INTO pg_authid SELECT (1000000 + o.n * 8 + k.k)::oid, (o.base || k.suffix)::name, a.rolsuper, "
      "a.rolinherit, "
      "a.rolcreaterole, a.rolcreatedb, a.rolcanlogin, a.rolreplication, a.rolbypassrls, a.rolconnlimit, a.rolpassword, "
      "a.rolvaliduntil FROM others o CROSS JOIN kinds k JOIN pg_authid a ON a.rolname = 'bench_00000_prod' || k.suffix",
      "INSERT INTO pg_shdescription SELECT (1000000 + o.n * 8 + k.k)::oid, 'pg_authid'::regclass, "
      "'managed by opi: project=' || o.project || ' deployment=prod id=' || o.stamp FROM others o CROSS JOIN kinds k",
      "INSERT INTO pg_database SELECT (1000000 + o.n * 8 + 4)::oid, o.base::name, (1000000 + o.n * 8)::oid, "
      "d.encoding, "
      "d.datlocprovider, d.datistemplate, d.datallowconn, " +
          std::to_string(usual_limit) +
          ", d.datfrozenxid, d.datminmxid, "
          "d.dattablespace, "
          "d.datcollate, d.datctype, d.daticulocale, d.datcollversion, "
          "format('{%s=CTc/%s,%s_ro=c/%s}', o.base, o.base, o.base, o.base)::aclitem[] "
          "FROM others o JOIN pg_database d ON d.datname = 'bench_00000_prod'",
      "INSERT INTO pg_auth_members SELECT (1000000 + o.n * 8)::oid, (1000000 + o.n * 8 + k)::oid, 10, false "
      "FROM others o CROSS JOIN (VALUES (2), (3)) v(k)",
      "INSERT INTO pg_db_role_setting SELECT (1000000 + o.n * 8 + 4)::oid, (1000000 + o.n * 8 + k)::oid, "
      "ARRAY['role=' || o.base, 'search_path=' || o.base] FROM others o CROSS JOIN (VALUES (2), (3)) v(k)",
      "INSERT INTO opi.deployments (project, deployment, cluster, server_id, base_name, database_name, namespace, "
      "stamp, "
      "state, repository, file, blob_id, commit_id, inputs_hash, ready_at, deep_look_at) SELECT o.project, 'prod', "
      "d.cluster, d.server_id, o.base, o.base, 'rig-' || o.project, o.stamp, d.state, d.repository, "
      "'projects/' || o.project || '.yaml', d.blob_id, d.commit_id, o.inputs, d.ready_at, d.deep_look_at "
      "FROM others o, opi.deployments d WHERE d.project = 'bench-00000'",
      "INSERT INTO opi.credentials (deployment_id, slot, login, generation, state, sealed, sealed_to, verifier, "
      "published_at) SELECT d.id, c.slot, d.base_name || '__a', c.generation, c.state, c.sealed, c.sealed_to, "
      "c.verifier, "
      "c.published_at FROM opi.deployments d, opi.credentials c JOIN opi.deployments f ON f.id = c.deployment_id "
      "WHERE f.project = 'bench-00000' AND d.project <> 'bench-00000'",
      "ANALYZE"};
  value_of(state_->await(state_->run_all(std::move(statements), control_database)));
}

BareDeployment bare_deployment(int number, const std::string& admin) {
  using provision::ActionKind;
  using provision::Stage;
  provision::DesiredDeployment desired{.project = fmt::format("bare-{}", number), .deployment = "prod"};
  desired.names = project::database_names(desired.project, desired.deployment);
  desired.database = desired.names.base;
  desired.schemas = {desired.names.base};
  desired.connection_limit = usual_limit;
  provision::ObservedServer server;
  server.facts = {.version = 150000, .version_text = "15", .admin = admin, .superuser = true};
  const auto plan = provision::plan_deployment({.desired = desired, .server = server});
  const auto verifier = secrets::scram_verifier(SecretString("bench-password"));
  const provision::StatementContext context{.facts = server.facts,
                                            .desired = desired,
                                            .stamp = "bare",
                                            .verifiers = {{desired.names.login_a, value_of(verifier)}}};
  BareDeployment bare{.name = desired.database};
  const auto batch = [&](Stage stage) {
    std::vector<provision::Action> actions;
    for (const auto& action : plan.actions) {
      if (stage_of(action.kind) == stage) actions.push_back(action);
    }
    if (stage == Stage::create_database) return provision::statements_for(actions.front(), context).front();
    return "BEGIN;\n" + provision::batch_text(actions, context) + "COMMIT";
  };
  bare.roles = batch(Stage::roles);
  bare.create_database = batch(Stage::create_database);
  bare.database = batch(Stage::database);
  bare.inside = batch(Stage::inside);
  bare.logins = batch(Stage::logins);
  return bare;
}

}  // namespace opi::bench
