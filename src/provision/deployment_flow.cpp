#include "provision/deployment_flow.hpp"

#include <fmt/format.h>

#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <functional>
#include <span>
#include <utility>

#include "aio/with_deadline.hpp"
#include "base/backoff.hpp"
#include "base/clock.hpp"
#include "pg/transaction.hpp"
#include "provision/adopt.hpp"
#include "provision/batch.hpp"
#include "provision/login_check.hpp"
#include "provision/observe.hpp"
#include "provision/plan_parts.hpp"
#include "provision/sessions.hpp"
#include "provision/stamp.hpp"

namespace opi::provision {
namespace {

constexpr BackoffLimits moved_limits{
    .first = std::chrono::milliseconds{20}, .most = std::chrono::milliseconds{1'000}, .jitter = 0.5};
constexpr std::uint32_t attempts_max = 8;
constexpr std::chrono::seconds tail_time{10};  ///< for writing down how it ended, when the deadline is over

std::chrono::microseconds since(SteadyTime began) {
  return std::chrono::duration_cast<std::chrono::microseconds>(steady_now() - began);
}

/// The server cannot be had now; nobody has to do anything about the deployment.
bool only_waits(const Error& error) {
  return error.kind == ErrorKind::unavailable || error.kind == ErrorKind::timed_out ||
         error.kind == ErrorKind::exhausted || error.kind == ErrorKind::closed ||
         (error.kind == ErrorKind::conflict && error.handling() == Handling::wait);
}

std::vector<std::string> names_of(const DesiredDeployment& desired) {
  const auto& names = desired.names;
  return {desired.database, names.base, names.login_a, names.login_b, names.read_only};
}

}  // namespace

DeploymentFlow::DeploymentFlow(const FlowTools* tools, DesiredDeployment desired, store::Cause cause,
                               SteadyTime deadline, FlowOrder order)
    : tools_(tools),
      desired_(std::move(desired)),
      deadline_(deadline),
      order_(std::move(order)),
      audit_(std::move(cause), desired_.project, desired_.deployment, desired_.pool) {}

PlanInput DeploymentFlow::input() const {
  return {.desired = desired_,
          .server = observed_,
          .known = known_ ? &*known_ : nullptr,
          .server_id = server_id_,
          .clone = clone_ ? &*clone_ : nullptr,
          .policies = &tools_->drift};
}
pg::DatabasePool& DeploymentFlow::pool() const {
  return *pool_;
}
pg::Connection* DeploymentFlow::control() const {
  return control_->connection();
}
pg::Connection* DeploymentFlow::server() const {
  return further_ ? &**further_ : control();
}
store::DeploymentRecord* DeploymentFlow::deployment() {
  return &known_->deployment;
}
void DeploymentFlow::step(std::string_view name) const {
  if (tools_->on_step) tools_->on_step(name);
}

/// `local`: a standby that does not answer must not hang role work; the write is still on this server's disk.
std::string DeploymentFlow::session_settings() const {
  std::string text = "SET LOCAL synchronous_commit = local;\n";
  const auto& facts = observed_.facts;
  if (facts.version >= 160000 && !facts.superuser) text += "SET LOCAL createrole_self_grant = 'set,inherit';\n";
  return text;
}

bool DeploymentFlow::refused(DeploymentPlan plan) {
  for (const auto& drift : plan.drifts) {
    if (drift.policy == DriftPolicy::warn) plan.notes.push_back(drift.detail);
  }
  for (auto& note : plan.notes) {
    if (std::ranges::find(notes_, note) == notes_.end()) notes_.push_back(std::move(note));
  }
  refusal_ = std::move(plan.refusal);
  return refusal_.has_value();
}

Task<DeploymentReport> DeploymentFlow::run() {
  const auto began = steady_now();
  ++tools_->stats->flows;
  Result<> outcome;
  if (desired_.refusal) {
    refusal_ = desired_.refusal;
  } else {
    outcome = co_await take_leases();
    if (outcome) {
      outcome = co_await work();
      co_await finish(&outcome);
    }
  }
  DeploymentReport report{.project = desired_.project,
                          .deployment = desired_.deployment,
                          .namespace_ = desired_.namespace_,
                          .database = desired_.database,
                          .pool = desired_.pool};
  report.file = desired_.source.file;
  report.blob = desired_.source.blob;
  report.notes = std::move(notes_);
  report.actions = actions_done_;
  report.handed_later = handed_later_ && outcome.has_value();
  if (refusal_) {
    report.outcome = DeploymentOutcome::refused;
    report.error = std::move(refusal_);
  } else if (!outcome) {
    report.outcome = only_waits(outcome.error()) ? DeploymentOutcome::waiting : DeploymentOutcome::failed;
    report.error = std::move(outcome.error());
  } else if (actions_done_ != 0 || first_time_) {
    report.outcome = first_time_ ? DeploymentOutcome::created : DeploymentOutcome::changed;
  }
  report.duration = since(began);
  co_return report;
}

/// `main` first, then the further server: everybody in that order.
Task<Result<>> DeploymentFlow::take_leases() {
  const std::string what = "provision " + desired_.title();
  auto main = co_await tools_->main->acquire({.deadline = deadline_, .task = what});
  if (!main) co_return failure(main.error().to_error());
  pool_ = tools_->main;
  if (desired_.pool != "main") {
    if (tools_->pools == nullptr)
      co_return failure(ErrorKind::not_found, fmt::format("{}: there is no pool \"{}\"", what, desired_.pool));
    auto found = tools_->pools->get(desired_.pool);
    if (!found) co_return failure(std::move(found.error()).while_doing(what));
    pool_ = &found->get();
    auto further = co_await pool_->acquire({.deadline = deadline_, .task = what});
    if (!further) co_return failure(further.error().to_error());
    further_ = *std::move(further);
    further_began_ = (*further_)->statements_run();
  }
  control_began_ = (*main)->statements_run();
  auto id = co_await server_id(&**main, further_ ? &**further_ : &**main);
  if (!id) co_return failure(std::move(id.error()).while_doing(what));
  server_id_ = *id;
  using store::RowKind;
  const auto& names = desired_.names;
  std::vector<store::CatalogueRow> rows{
      {.kind = RowKind::deployment, .name = desired_.title()},
      {.server_id = server_id_, .kind = RowKind::database, .name = desired_.database},
      {.server_id = server_id_, .kind = RowKind::default_privileges, .name = names.base}};
  for (auto& name : names_of(desired_))
    rows.push_back({.server_id = server_id_, .kind = RowKind::role, .name = std::move(name)});
  // A template's sessions are ended, and among them would be those of a flow that works on it.
  if (desired_.clone && desired_.clone->by_template)
    rows.push_back({.kind = RowKind::deployment, .name = desired_.project + "/" + desired_.clone->source});
  auto locked = co_await store::LockedLease::acquire(*std::move(main), std::move(rows), deadline_);
  if (!locked) co_return failure(std::move(locked.error()).while_doing(what));
  control_ = *std::move(locked);
  step("locked");
  co_return Result<>{};
}

Task<Result<std::int64_t>> DeploymentFlow::server_id(pg::Connection* main, pg::Connection* server) {
  if (const auto found = tools_->server_ids->find(desired_.pool); found != tools_->server_ids->end())
    co_return found->second;
  auto identity = co_await store::identify_server(server);
  if (!identity) co_return failure(std::move(identity.error()));
  auto record = co_await store::register_server(main, desired_.pool, *std::move(identity));
  if (!record) co_return failure(std::move(record.error()));
  tools_->server_ids->insert_or_assign(desired_.pool, record->id);
  co_return record->id;
}

Task<Result<>> DeploymentFlow::work() {
  auto outcome = co_await settle();
  if (!outcome || refusal_ || !order_.rotation) co_return outcome;
  co_return co_await rotate(*order_.rotation);
}

/// Looks, plans and acts until it is done, it fails, or the catalogs have moved too often.
Task<Result<>> DeploymentFlow::settle() {
  Backoff backoff(moved_limits, static_cast<std::uint64_t>(steady_now().time_since_epoch().count()) ^
                                    std::hash<std::string>{}(desired_.title()));
  for (std::uint32_t tried = 1;; ++tried) {
    auto outcome = co_await attempt();
    if (outcome || !world_moved(outcome.error()) || tried == attempts_max || steady_now() > deadline_)
      co_return outcome;
    if (control()->broken() || server()->broken()) co_return outcome;
    ++tools_->stats->retries;
    tools_->log.info(desired_.title(), "the catalogs moved; looking again", {{"cause", outcome.error().to_string()}});
    if (!co_await aio::sleep_for(backoff.next()))
      co_return failure(ErrorKind::cancelled, desired_.title() + ": cancelled");
  }
}

Task<Result<>> DeploymentFlow::attempt() {
  auto looked = co_await look();
  if (looked && clone_ && clone_->discard) {
    looked = co_await discard_copy();
    if (looked) looked = co_await look();
  }
  if (!looked) co_return looked;
  auto foresight = input();
  foresight.preview = true;
  const auto preview = plan_deployment(foresight);
  const bool nothing = preview.actions.empty() && !preview.to_record && !order_.look_deep;
  if (refused(preview)) co_return Result<>{};
  if (preview.waiting) co_return failure(*preview.waiting);  // not "nothing to do", though it has no actions either
  if (nothing || forbidden(preview.actions)) co_return Result<>{};
  foreseen_ = preview.actions;
  first_time_ = first_time_ || preview.first_time;
  // A copy is made by the tenant's own login, which therefore comes before it; nobody knows its password yet, or the
  // application still uses the database before.
  using Part = Task<Result<>> (DeploymentFlow::*)();
  static constexpr Part plain[] = {&DeploymentFlow::journal,        &DeploymentFlow::do_server_part,
                                   &DeploymentFlow::do_inside_part, &DeploymentFlow::do_login_part,
                                   &DeploymentFlow::prove,          &DeploymentFlow::prove_reader,
                                   &DeploymentFlow::record,         &DeploymentFlow::do_endings};
  static constexpr Part copying[] = {
      &DeploymentFlow::check_template, &DeploymentFlow::journal,       &DeploymentFlow::begin_copy,
      &DeploymentFlow::do_server_part, &DeploymentFlow::do_login_part, &DeploymentFlow::copy,
      &DeploymentFlow::do_inside_part, &DeploymentFlow::prove,         &DeploymentFlow::prove_reader,
      &DeploymentFlow::record,         &DeploymentFlow::do_endings};
  for (const Part part : cloning() ? std::span<const Part>(copying) : std::span<const Part>(plain)) {
    auto done = co_await (this->*part)();
    if (!done || refusal_) co_return done;
  }
  co_return Result<>{};
}

/// The inventory and the catalogs as they are under our locks.
Task<Result<>> DeploymentFlow::look() {
  known_.reset();
  credential_.reset();
  reader_.reset();
  auto found =
      co_await store::find_deployment(control(), {.project = desired_.project, .deployment = desired_.deployment});
  if (!found && found.error().kind != ErrorKind::not_found)
    co_return failure(std::move(found.error()).while_doing(desired_.title()));
  if (found) {
    known_ = store::InventoryEntry{.deployment = *std::move(found)};
    desired_.database = known_->deployment.database_name;
    auto logins = co_await look_at_logins();
    if (!logins) co_return failure(std::move(logins.error()).while_doing(desired_.title()));
    use_journaled_logins(desired_, &*known_);
  }
  auto decided = co_await look_at_clone();
  if (!decided) co_return failure(std::move(decided.error()).while_doing(desired_.title()));
  auto names = names_of(desired_);
  if (clone_ && clone_->discard) names.push_back(clone_->discard->database);
  auto observed = co_await observe_server(server(), std::move(names));
  if (!observed) co_return failure(std::move(observed.error()).while_doing(desired_.title()));
  observed_ = *std::move(observed);
  const auto* replaced = known_ ? replaced_login(*known_) : nullptr;
  if (replaced == nullptr || !replaced->overlap_over) co_return Result<>{};
  auto sessions = co_await count_sessions(server(), {replaced->login});
  if (!sessions) co_return failure(std::move(sessions.error()).while_doing(desired_.title()));
  observed_.sessions = *std::move(sessions);
  co_return Result<>{};
}

Task<Result<>> DeploymentFlow::look_at_logins() {
  auto logins = co_await store::login_summaries(control(), known_->deployment.id);
  if (!logins) co_return failure(std::move(logins.error()));
  known_->credentials = *std::move(logins);
  const auto* current = current_login(*known_);
  if (current == nullptr) co_return Result<>{};
  auto credential = co_await store::find_credential(control(), current->id);
  if (!credential) co_return failure(std::move(credential.error()));
  credential_ = *std::move(credential);
  co_return Result<>{};
}

std::map<std::string, std::string, std::less<>> DeploymentFlow::verifiers() const {
  std::map<std::string, std::string, std::less<>> all;
  for (const auto& one : known_->credentials) all.emplace(one.login, one.verifier);
  return all;
}

StatementContext DeploymentFlow::statement_context() const {
  const Stamp stamp{.id = known_->deployment.stamp, .project = desired_.project, .deployment = desired_.deployment};
  return {.facts = observed_.facts,
          .desired = desired_,
          .stamp = stamp.to_comment(),
          .verifiers = verifiers(),
          .template_database = copies_by_template() ? clone_->make->from : std::string()};
}

Task<Result<>> DeploymentFlow::open_stage(pg::Connection* connection, std::vector<Action> actions) {
  co_return co_await begin_batch(connection, session_settings() + batch_text(actions, statement_context()));
}

Task<Result<>> DeploymentFlow::commit_stage(pg::Connection* connection, std::string_view name) {
  step(fmt::format("{}: before commit", name));
  auto done = co_await commit_batch(connection);
  if (done) step(name);
  co_return done;
}

Task<Result<>> DeploymentFlow::run_stage(pg::Connection* connection, Stage stage, std::vector<Action> all) {
  std::vector<Action> actions;
  for (const auto& action : all) {
    if (stage_of(action.kind) == stage) actions.push_back(action);
  }
  if (actions.empty() || forbidden(actions)) co_return Result<>{};
  auto written = co_await write_ahead(actions);
  if (!written) co_return written;
  if (stage == Stage::create_database) co_return co_await create_database(actions);
  const auto began = steady_now();
  auto done = co_await open_stage(connection, actions);
  const bool as_it_was = known_->deployment.adoption == store::Adoption::additive;  // PUBLIC keeps what it had
  if (done && stage == Stage::database && !as_it_was) {
    done = co_await check_closed_to_public();
    if (!done) co_await rollback_batch(connection);
  }
  static constexpr std::string_view names[] = {"roles",  "discarded", "database created", "database", "copied",
                                               "inside", "logins",    "verified",         "rotation", "disabled"};
  if (done) done = co_await commit_stage(connection, names[static_cast<std::size_t>(stage)]);
  note_end(actions, done, began);
  if (done) actions_done_ += actions.size();
  co_return done;
}

/// Outside any transaction, as PostgreSQL wants it.
Task<Result<>> DeploymentFlow::create_database(std::vector<Action> actions) {
  auto statement = statements_for(actions.front(), statement_context()).front();
  const auto began = steady_now();
  auto done = co_await run_alone(server(), "SET synchronous_commit = local");
  if (done) {
    done = copies_by_template() ? co_await copy_template(std::move(statement))
                                : co_await run_alone(server(), std::move(statement));
  }
  note_end(actions, done, began);
  if (!server()->broken()) {
    auto reset = co_await run_alone(server(), "RESET synchronous_commit");
    if (done && !reset) done = std::move(reset);
  }
  if (done) {
    ++actions_done_;
    step("database created");
  }
  co_return done;
}

/// Read back in the same transaction: nobody but the owner's own roles may enter, or nothing of it happens.
Task<Result<>> DeploymentFlow::check_closed_to_public() {
  auto acl = co_await observe_database_acl(server(), desired_.database);
  if (!acl) co_return failure(std::move(acl.error()));
  const auto rights = privileges_of(*acl, "");
  if (rights.empty()) co_return Result<>{};
  co_return failure(Error(ErrorKind::denied, fmt::format("PUBLIC keeps {} on database \"{}\" after REVOKE",
                                                         privilege_names(rights), desired_.database))
                        .with_remedy("have whoever granted it revoke it"));
}

Task<Result<>> DeploymentFlow::do_server_part() {
  auto plan = plan_server_part(input());
  if (refused(plan)) co_return Result<>{};
  for (const auto stage : {Stage::roles, Stage::create_database, Stage::database}) {
    auto done = co_await run_stage(server(), stage, plan.actions);
    if (!done) co_return failure(std::move(done.error()).while_doing(desired_.title()));
    if (refusal_) co_return Result<>{};
  }
  co_return Result<>{};
}

/// One short connection, only when what is asked of the inside has changed or was never finished.
Task<Result<>> DeploymentFlow::do_inside_part() {
  const auto* database = observed_.database(desired_.database);
  const bool fresh = database == nullptr || (!database->allow_connections && first_time_);
  const bool enterable = database != nullptr && database->allow_connections;
  const bool look = cloning() || needs_inside_look(desired_, observed_, &*known_) || (order_.look_deep && enterable);
  if (!fresh && !look) co_return Result<>{};
  const auto room = co_await tools_->budget->take(pool_, 1, deadline_);
  if (!room) co_return failure(Error(room.error()).while_doing(desired_.title()));
  auto inside = co_await enter(desired_.database);
  if (!inside) co_return failure(std::move(inside.error()));
  auto done = co_await work_inside(&*inside);
  co_await inside->close(steady_now() + tail_time);
  if (!done) co_return failure(std::move(done.error()).while_doing(desired_.title() + ": inside its database"));
  looked_inside_ = true;
  co_return Result<>{};
}

/// As admin. Whoever calls it has room for one more connection.
Task<Result<pg::Connection>> DeploymentFlow::enter(std::string database) {
  auto settings = pool().config().server;
  settings.database = std::move(database);
  auto executor = co_await asio::this_coro::executor;
  ++tools_->stats->tenant_connections;
  auto inside = co_await pg::Connection::connect(executor, settings, *tools_->blocking, deadline_);
  if (!inside)
    co_return failure(
        std::move(inside.error()).while_doing(fmt::format("{}: enter {}", desired_.title(), settings.database)));
  co_return std::move(*inside);
}

Task<Result<>> DeploymentFlow::work_inside(pg::Connection* inside) {
  if (cloning()) {
    auto finished = co_await finish_copy(inside);
    if (!finished) co_return finished;
  }
  co_return co_await do_inside_batch(inside);
}

Task<Result<ObservedInside>> DeploymentFlow::see_inside(pg::Connection* inside) {
  auto observed = co_await observe_inside(inside, desired_.names.base, desired_.watched_schemas());
  if (!observed || known_->deployment.adoption != store::Adoption::full) co_return observed;
  auto foreign = co_await observe_foreign_objects(inside, desired_.names.base, desired_.schemas);
  if (!foreign) co_return failure(std::move(foreign.error()));
  observed->foreign_objects = *std::move(foreign);
  co_return observed;
}

Task<Result<>> DeploymentFlow::do_inside_batch(pg::Connection* inside) {
  auto observed = co_await see_inside(inside);
  if (!observed) co_return failure(std::move(observed.error()));
  DeploymentPlan plan{.first_time = first_time_};
  plan_inside_part(input(), *observed, plan);
  const auto actions = plan.actions;
  auto noted = co_await record_inside_drift(plan.drifts);
  if (!noted) co_return noted;
  static_cast<void>(refused(std::move(plan)));  // for its notes
  if (actions.empty() || forbidden(actions)) co_return Result<>{};
  auto written = co_await write_ahead(actions);
  if (!written) co_return written;
  const auto began = steady_now();
  auto done = co_await open_stage(inside, actions);
  if (done) {
    done = co_await check_inside(inside);
    if (!done) co_await rollback_batch(inside);
  }
  if (done) done = co_await commit_stage(inside, "inside");
  note_end(actions, done, began);
  if (done) actions_done_ += actions.size();
  co_return done;
}

Task<Result<>> DeploymentFlow::record_inside_drift(std::vector<Drift> drifts) {
  auto change = drift_change(*known_, drifts, true);
  if (change.empty()) co_return Result<>{};
  std::vector<store::DriftChange> one;
  one.push_back(std::move(change));
  co_return co_await store::change_drift(control(), std::move(one));
}

/// Read back in the same transaction: nothing is left to do, or nothing of it happens.
Task<Result<>> DeploymentFlow::check_inside(pg::Connection* inside) {
  auto after = co_await see_inside(inside);
  if (!after) co_return failure(std::move(after.error()));
  DeploymentPlan left{.first_time = first_time_};
  plan_inside_part(input(), *after, left);
  if (left.actions.empty()) co_return Result<>{};
  const auto& first = left.actions.front();
  co_return failure(ErrorKind::conflict,
                    fmt::format("{} {} is still not as it should be: {}", first.object, first.name, first.detail));
}

Task<Result<>> DeploymentFlow::do_login_part() {
  DeploymentPlan plan;
  plan_login_part(input(), plan);
  for (const auto stage : {Stage::roles, Stage::logins}) {
    auto done = co_await run_stage(server(), stage, plan.actions);
    if (!done) co_return failure(std::move(done.error()).while_doing(desired_.title()));
    if (refusal_) co_return Result<>{};
  }
  static_cast<void>(refused(std::move(plan)));
  for (auto* one : {&credential_, &reader_}) {
    if (!*one || (*one)->state != store::CredentialState::intent) continue;
    auto applied = co_await store::advance(control(), (*one)->id, store::CredentialState::applied);
    if (!applied) co_return failure(std::move(applied.error()).while_doing(desired_.title()));
    (*one)->state = store::CredentialState::applied;
    step("applied");
  }
  co_return Result<>{};
}

}  // namespace opi::provision
