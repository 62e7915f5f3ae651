#include "provision/removal_flow.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <boost/asio/this_coro.hpp>
#include <map>
#include <utility>

#include "aio/with_deadline.hpp"
#include "base/backoff.hpp"
#include "base/clock.hpp"
#include "pg/quote.hpp"
#include "pg/sqlstate.hpp"
#include "provision/batch.hpp"
#include "provision/observe.hpp"
#include "provision/sessions.hpp"
#include "provision/stamp.hpp"
#include "store/removal.hpp"

namespace opi::provision {
namespace {

constexpr BackoffLimits moved_limits{
    .first = std::chrono::milliseconds{20}, .most = std::chrono::milliseconds{1'000}, .jitter = 0.5};
constexpr int attempts_max = 8;
constexpr std::chrono::seconds tail_time{10};

/// What a role still has, in which database. Memberships and settings go with the role.
constexpr std::string_view leftovers_query = R"sql(
SELECT r.rolname::text, coalesce(d.datname::text, ''),
       pg_catalog.bool_or(s.dbid = 0 AND s.deptype = 'o' AND s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass)
FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid
  LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid
WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND r.rolname::text = ANY ($1::text[])
GROUP BY 1, 2 ORDER BY 2, 1)sql";

std::string quoted_list(const std::vector<std::string>& names) {
  std::vector<std::string> quoted;
  quoted.reserve(names.size());
  for (const auto& name : names) quoted.push_back(pg::quote_identifier(name));
  return fmt::format("{}", fmt::join(quoted, ", "));
}

/// Something was made or taken away between our look and our statement.
bool moved(const Error& error) {
  return world_moved(error) || error.code == pg::sqlstate::dependent_objects;
}

}  // namespace

RemovalFlow::RemovalFlow(const FlowTools* tools, RemovalOrder order, RemovalRules rules, DumpRules dump,
                         store::Cause cause, SteadyTime deadline)
    : tools_(tools),
      order_(std::move(order)),
      rules_(rules),
      dump_(std::move(dump)),
      audit_(std::move(cause), record().key.project, record().key.deployment, record().pool),
      deadline_(deadline) {}

void RemovalFlow::step(std::string_view name) const {
  if (tools_->on_step) tools_->on_step(name);
}

std::vector<std::string> RemovalFlow::present_roles() const {
  auto roles = roles_of(record().base_name);
  std::erase_if(roles, [this](const std::string& name) { return observed_.role(name) == nullptr; });
  return roles;
}

std::vector<std::string> RemovalFlow::present_databases() const {
  auto databases = databases_of(record());
  std::erase_if(databases, [this](const std::string& name) {
    const auto* database = observed_.database(name);
    return database == nullptr || (name != record().database_name && database->owner != record().base_name);
  });
  return databases;
}

Task<DeploymentReport> RemovalFlow::run() {
  const auto began = steady_now();
  ++tools_->stats->flows;
  auto outcome = co_await take_leases();
  if (outcome) {
    outcome = co_await work();
    co_await finish(&outcome);
  }
  DeploymentReport report{.project = record().key.project,
                          .deployment = record().key.deployment,
                          .namespace_ = record().namespace_,
                          .database = record().database_name,
                          .pool = record().pool,
                          .outcome = done_};
  report.actions = actions_done_;
  if (refusal_) {
    report.outcome = DeploymentOutcome::refused;
    report.error = std::move(refusal_);
  } else if (!outcome) {
    const auto kind = outcome.error().kind;
    const bool waits = kind == ErrorKind::unavailable || kind == ErrorKind::timed_out || kind == ErrorKind::exhausted ||
                       kind == ErrorKind::closed;
    report.outcome = waits ? DeploymentOutcome::waiting : DeploymentOutcome::failed;
    report.error = std::move(outcome.error());
  } else {
    report.notes = {order_.reason};
  }
  report.duration = std::chrono::duration_cast<std::chrono::microseconds>(steady_now() - began);
  co_return report;
}

/// `main` first, then the further server, as every flow.
Task<Result<>> RemovalFlow::take_leases() {
  const std::string what = "remove " + title();
  auto main = co_await tools_->main->acquire({.deadline = deadline_, .task = what});
  if (!main) co_return failure(main.error().to_error());
  pool_ = tools_->main;
  if (record().pool != "main") {
    if (tools_->pools == nullptr)
      co_return failure(ErrorKind::not_found, fmt::format("{}: there is no pool \"{}\"", what, record().pool));
    auto found = tools_->pools->get(record().pool);
    if (!found) co_return failure(std::move(found.error()).while_doing(what));
    pool_ = &found->get();
    auto further = co_await pool_->acquire({.deadline = deadline_, .task = what});
    if (!further) co_return failure(further.error().to_error());
    further_ = *std::move(further);
  }
  using store::RowKind;
  const auto id = record().server_id;
  std::vector<store::CatalogueRow> rows{
      {.kind = RowKind::deployment, .name = title()},
      {.server_id = id, .kind = RowKind::default_privileges, .name = record().base_name}};
  for (auto& name : databases_of(record()))
    rows.push_back({.server_id = id, .kind = RowKind::database, .name = std::move(name)});
  for (auto& name : roles_of(record().base_name))
    rows.push_back({.server_id = id, .kind = RowKind::role, .name = std::move(name)});
  auto locked = co_await store::LockedLease::acquire(*std::move(main), std::move(rows), deadline_);
  if (!locked) co_return failure(std::move(locked.error()).while_doing(what));
  control_ = *std::move(locked);
  step("locked");
  co_return Result<>{};
}

Task<Result<>> RemovalFlow::work() {
  Backoff backoff(moved_limits, static_cast<std::uint64_t>(steady_now().time_since_epoch().count()));
  for (int tried = 1;; ++tried) {
    auto standing = co_await look();
    if (!standing) co_return failure(std::move(standing.error()).while_doing(title()));
    if (!*standing || refusal_) co_return Result<>{};
    Result<> outcome;
    if (order_.step == RemovalStep::bury) outcome = co_await bury();
    if (order_.step == RemovalStep::rest) outcome = co_await disable();
    if (order_.step == RemovalStep::remove) outcome = co_await remove();
    if (outcome || refusal_) co_return outcome;
    const bool dependent = outcome.error().code == pg::sqlstate::dependent_objects;
    if (!moved(outcome.error()) || tried == (dependent ? 3 : attempts_max) || steady_now() > deadline_ ||
        server()->broken())
      co_return failure(std::move(outcome.error()).while_doing(title()));
    ++tools_->stats->retries;
    if (!co_await aio::sleep_for(backoff.next())) co_return failure(ErrorKind::cancelled, title() + ": cancelled");
  }
}

/// As it is under our locks. False: it came back, or it went already.
Task<Result<bool>> RemovalFlow::look() {
  auto found = co_await store::find_deployment(control(), record().key);
  if (!found && found.error().kind == ErrorKind::not_found) co_return false;
  if (!found) co_return failure(std::move(found.error()));
  const auto decided_at = record().changed_at;
  order_.entry.deployment = *std::move(found);
  using store::DeploymentState;
  const auto state = record().state;
  const bool stands = state == DeploymentState::wanted || state == DeploymentState::ready;
  // Whoever worked on it after the decision may know of a newer declaration: the next pass decides anew.
  if (stands && (order_.step != RemovalStep::bury || record().changed_at != decided_at)) co_return false;
  if (record().deletion == "keep") co_return false;
  auto names = roles_of(record().base_name);
  for (auto& name : databases_of(record())) names.push_back(std::move(name));
  auto observed = co_await observe_server(server(), std::move(names));
  if (!observed) co_return failure(std::move(observed.error()));
  observed_ = *std::move(observed);
  refusal_ = not_ours();
  co_return true;
}

/// A stamp that is not ours, or another owner: somebody else works there now.
std::optional<Error> RemovalFlow::not_ours() const {
  const auto refused = [this](std::string_view what, const std::string& name, std::string why) {
    return Error(ErrorKind::conflict, fmt::format("{}: {} \"{}\" {}; not removed", title(), what, name, why))
        .with_remedy("give it back to its owner, or keep it: opi removals keep");
  };
  for (const auto& name : present_roles()) {
    const auto stamp = parse_stamp(observed_.role(name)->comment);
    if (stamp && stamp->id != record().stamp)
      return refused("role", name, fmt::format("is stamped for {}/{}", stamp->project, stamp->deployment));
  }
  const auto* database = observed_.database(record().database_name);
  if (database == nullptr || database->owner == record().base_name) return std::nullopt;
  return refused("database", database->name, fmt::format("belongs to \"{}\" now", database->owner));
}

Task<Result<>> RemovalFlow::bury() {
  const auto began = steady_now();
  auto buried =
      co_await write_ahead("bury", fmt::format("{}; grace {} h", order_.reason, rules_.grace.count() / 3'600));
  if (buried) buried = co_await store::bury_deployment(control(), record().id, rules_.grace);
  note_end("bury", buried, began);
  if (!buried) co_return buried;
  ++actions_done_;
  step("tombstone");
  auto disabled = co_await disable();
  if (disabled) done_ = DeploymentOutcome::disabled;
  co_return disabled;
}

/// First nobody may come in, then whoever is in is sent away.
Task<Result<>> RemovalFlow::disable() {
  std::string statements;
  std::vector<std::string> logins;
  for (const auto& name : present_roles()) {
    logins.push_back(name);
    if (observed_.role(name)->login) statements += fmt::format("ALTER ROLE {} NOLOGIN;\n", pg::quote_identifier(name));
  }
  if (!statements.empty()) {
    auto done = co_await run("disable_login", server(), std::move(statements));
    if (!done) co_return done;
    step("logins disabled");
  }
  auto counts = co_await count_sessions(server(), logins);
  if (!counts) co_return failure(std::move(counts.error()));
  if (std::ranges::all_of(*counts, [](const auto& one) { return one.second == 0; })) co_return Result<>{};
  const auto began = steady_now();
  auto ended =
      co_await write_ahead("end_sessions", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN (" +
                                               quoted_list(logins) + ")");
  if (ended) ended = co_await end_sessions(server(), observed_.facts, std::move(logins), deadline_);
  note_end("end_sessions", ended, began);
  if (!ended) co_return ended;
  ++actions_done_;
  step("sessions ended");
  co_return ended;
}

Task<Result<>> RemovalFlow::remove() {
  auto begun = co_await store::begin_removal(control(), record().id);
  if (!begun) co_return begun;
  step("removing");
  using Part = Task<Result<>> (RemovalFlow::*)();
  for (const Part part :
       {&RemovalFlow::disable, &RemovalFlow::dump, &RemovalFlow::drop_databases, &RemovalFlow::drop_roles}) {
    auto done = co_await (this->*part)();
    if (!done || refusal_) co_return done;
  }
  const auto began = steady_now();
  auto forgotten = co_await write_ahead("forget", "its record and its credentials");
  if (forgotten) forgotten = co_await store::forget_deployment(control(), record().id);
  note_end("forget", forgotten, began);
  if (!forgotten) co_return forgotten;
  ++actions_done_;
  done_ = DeploymentOutcome::removed;
  step("forgotten");
  co_return Result<>{};
}

/// No dump, no removal. What is recorded is the one of the database in use, when all are made.
Task<Result<>> RemovalFlow::dump() {
  auto databases = present_databases();
  if (dump_.directory.empty() || databases.empty() || !record().final_dump.empty()) co_return Result<>{};
  std::string first;
  for (auto& name : databases) {
    const auto began = steady_now();
    auto outcome = co_await write_ahead("final_dump", fmt::format("pg_dump of {} to {}", name, dump_.directory));
    if (!outcome) co_return outcome;
    const auto room = co_await tools_->budget->take(pool_, 1, deadline_);
    if (!room) co_return failure(room.error());
    auto path = co_await write_final_dump(pool().config().server, std::move(name), record().stamp, dump_);
    if (!path) outcome = failure(std::move(path.error()).while_doing("its last dump"));
    note_end("final_dump", outcome, began);
    if (!outcome) co_return outcome;
    if (first.empty()) first = *std::move(path);
    ++actions_done_;
    step("dumped");
  }
  auto recorded = co_await store::record_final_dump(control(), record().id, std::move(first));
  if (recorded) step("dump recorded");
  co_return recorded;
}

Task<Result<>> RemovalFlow::drop_databases() {
  const auto databases = present_databases();
  std::vector<Action> drops;
  for (const auto& name : databases) {
    drops.push_back({.kind = ActionKind::drop_database,
                     .sign = Sign::remove,
                     .object = "database",
                     .name = name,
                     .detail = order_.reason,
                     .subject = name});
  }
  if (order_.approved) refusal_ = order_.approved->refusal_of(drops);
  if (refusal_) co_return Result<>{};
  for (const auto& name : databases) {
    auto dropped = co_await drop_database(name);
    if (!dropped) co_return dropped;
  }
  co_return Result<>{};
}

/// Outside any transaction, as the owner where the admin is nobody without it.
Task<Result<>> RemovalFlow::drop_database(std::string name) {
  const auto drop = fmt::format("DROP DATABASE {} WITH (FORCE)", pg::quote_identifier(name));
  const bool as_owner = !observed_.facts.superuser && !observed_.facts.inherit;
  // Before the session is another role's, which has no rights on the history.
  if (auto written = co_await write_ahead("drop_database", drop); !written) co_return written;
  if (as_owner) {
    auto role = co_await run_alone(server(), "SET ROLE " + pg::quote_identifier(record().base_name));
    if (!role) co_return role;
  }
  auto dropped = co_await run("drop_database", server(), drop, true);
  if (as_owner && !server()->broken()) {
    auto reset = co_await run_alone(server(), "SET ROLE NONE");
    if (dropped && !reset) dropped = std::move(reset);
  }
  if (!dropped) co_return dropped;
  step("database dropped");
  co_return dropped;
}

Task<Result<>> RemovalFlow::drop_roles() {
  const auto roles = present_roles();
  if (roles.empty()) co_return Result<>{};
  auto left = co_await leftovers();
  if (!left) co_return failure(std::move(left.error()));
  for (const auto& one : *left) {
    if (!one.owns_database) continue;
    refusal_ = Error(ErrorKind::conflict,
                     fmt::format("{}: role \"{}\" owns a further database; not removed", title(), one.role))
                   .with_remedy("give that database another owner, or drop it");
    co_return Result<>{};
  }
  auto owned = co_await drop_owned(*std::move(left));
  if (!owned) co_return owned;
  auto dropped = co_await run("drop_role", server(), "DROP ROLE IF EXISTS " + quoted_list(roles));
  if (!dropped) co_return dropped;
  step("roles dropped");
  co_return dropped;
}

Task<Result<std::vector<RemovalFlow::Leftover>>> RemovalFlow::leftovers() {
  pg::Params params;
  params.emplace_back(present_roles());
  auto rows = co_await server()->query(std::string(leftovers_query), std::move(params));
  if (!rows) co_return failure(std::move(rows.error()).while_doing("ask what its roles still have"));
  std::vector<Leftover> all;
  for (const auto& row : *rows) {
    all.push_back({.role = std::string(row.text(0)),
                   .database = std::string(row.text(1)),
                   .owns_database = row.get<std::optional<bool>>(2).value_or(false)});
  }
  co_return all;
}

/// Where a role still has something, and nowhere else. Rights on shared objects are dropped from any database.
Task<Result<>> RemovalFlow::drop_owned(std::vector<Leftover> left) {
  if (left.empty()) co_return Result<>{};
  const auto& facts = observed_.facts;
  if (!facts.superuser && facts.version < 160000) {
    // Needs the rights of the roles; it goes with them.
    std::string grants;
    for (const auto& role : present_roles())
      grants += fmt::format("GRANT {} TO {};\n", pg::quote_identifier(role), pg::quote_identifier(facts.admin));
    auto granted = co_await run("grant_to_admin", server(), std::move(grants));
    if (!granted) co_return granted;
  }
  std::map<std::string, std::vector<std::string>> by_database;
  for (auto& one : left) by_database[one.database].push_back(std::move(one.role));
  for (auto& [database, roles] : by_database) {
    auto done = co_await drop_owned_in(database, std::move(roles));
    if (!done) co_return done;
    step("owned dropped");
  }
  co_return Result<>{};
}

/// RESTRICT: what others have built upon it is theirs, and stops the removal.
Task<Result<>> RemovalFlow::drop_owned_in(std::string database, std::vector<std::string> roles) {
  const auto drop = "DROP OWNED BY " + quoted_list(roles);
  auto settings = pool().config().server;
  if (database.empty() || database == settings.database) co_return co_await run("drop_owned", server(), drop);
  settings.database = database;
  auto executor = co_await asio::this_coro::executor;
  const auto room = co_await tools_->budget->take(pool_, 1, deadline_);
  if (!room) co_return failure(Error(room.error()).while_doing("enter database " + database));
  ++tools_->stats->tenant_connections;
  auto inside = co_await pg::Connection::connect(executor, settings, *tools_->blocking, deadline_);
  if (!inside) co_return failure(std::move(inside.error()).while_doing("enter database " + database));
  auto done = co_await run("drop_owned", &*inside, drop);
  co_await inside->close(steady_now() + tail_time);
  if (!done) co_return failure(std::move(done.error()).while_doing("in database " + database));
  co_return done;
}

Task<Result<>> RemovalFlow::run(std::string action, pg::Connection* connection, std::string statements, bool alone) {
  const auto began = steady_now();
  auto done = co_await write_ahead(action, statements);
  if (!done) co_return done;
  if (alone) {
    done = co_await run_alone(connection, statements);
  } else {
    done = co_await begin_batch(connection, "SET LOCAL synchronous_commit = local;\n" + statements);
    if (done) done = co_await commit_batch(connection);
  }
  note_end(action, done, began);
  if (done) ++actions_done_;
  co_return done;
}

/// However it ended: what was done goes into the history, a failure into the inventory, the locks are given back.
Task<> RemovalFlow::finish(Result<>* outcome) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await aio::shielded(write_down(outcome));
  co_await asio::this_coro::throw_if_cancelled(true);
}

Task<> RemovalFlow::write_down(Result<>* outcome) {
  if (further_ && (*further_)->broken()) further_->discard();
  if (control()->broken() || control()->transaction_status() != pg::TransactionStatus::idle) {
    control_.reset();
    co_return;
  }
  if (!*outcome) {
    // Not there when it went already; then there is nothing to record.
    static_cast<void>(
        co_await store::change_deployment(control(), {.id = record().id, .last_error = outcome->error().to_string()}));
  }
  if (auto closed = co_await audit_.close(control()); !closed)
    tools_->log.warn(title(), "its history could not be finished", {{"cause", closed.error().to_string()}});
  auto released = co_await control_->release(steady_now() + tail_time);
  if (!released)
    tools_->log.warn(title(), "its locks end with their session", {{"cause", released.error().to_string()}});
  control_.reset();
}

/// Nothing is done that is not written down before.
Task<Result<>> RemovalFlow::write_ahead(std::string action, std::string statement) {
  audit_.add(std::move(action), std::move(statement));
  co_return co_await audit_.write_ahead(control());
}

void RemovalFlow::note_end(const std::string& action, const Result<>& outcome, SteadyTime began) {
  audit_.ended(action, outcome, std::chrono::duration_cast<std::chrono::microseconds>(steady_now() - began));
}

}  // namespace opi::provision
