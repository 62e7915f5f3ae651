// The part of a flow that makes its database as a copy of another one.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/clock.hpp"
#include "pg/quote.hpp"
#include "provision/batch.hpp"
#include "provision/deployment_flow.hpp"
#include "provision/observe.hpp"

namespace opi::provision {
namespace {

/// What the copy brought, under the names of its new owner, for its reader to read. As the owner role: a tenant's
/// objects are never touched with more rights than its own.
std::string finishing_text(const DesiredDeployment& desired, const std::vector<std::string>& there,
                           const std::string& source_base) {
  using pg::quote_identifier;
  std::string text = fmt::format("SET LOCAL ROLE {};\n", quote_identifier(desired.names.base));
  const auto has = [&](const std::string& schema) { return std::ranges::find(there, schema) != there.end(); };
  for (const auto& [from, to] : renamed_schemas(desired, source_base)) {
    if (has(from) && !has(to))
      text += fmt::format("ALTER SCHEMA {} RENAME TO {};\n", quote_identifier(from), quote_identifier(to));
    if (!has(from) && !has(to)) continue;
    const auto reader = quote_identifier(desired.names.read_only);
    text += fmt::format(
        "GRANT SELECT ON ALL TABLES IN SCHEMA {0} TO {1};\nGRANT SELECT ON ALL SEQUENCES IN SCHEMA {0} TO {1};\n",
        quote_identifier(to), reader);
  }
  return text + "SET LOCAL ROLE NONE;\n";
}

}  // namespace

/// Decides, and lets the plan be about the copy's database when there is one to make.
Task<Result<>> DeploymentFlow::look_at_clone() {
  clone_.reset();
  source_.reset();
  std::optional<store::CloneRecord> record;
  if (known_) {
    auto loaded = co_await store::load_clones(control(), known_->deployment.id);
    if (!loaded) co_return failure(std::move(loaded.error()));
    if (!loaded->empty()) record = std::move(loaded->front());
  }
  if (!desired_.clone && !record) co_return Result<>{};
  if (desired_.clone) {
    auto found =
        co_await store::find_deployment(control(), {.project = desired_.project, .deployment = desired_.clone->source});
    if (!found && found.error().kind != ErrorKind::not_found) co_return failure(std::move(found.error()));
    if (found) source_ = store::InventoryEntry{.deployment = *std::move(found)};
  }
  CloneInput input{.desired = desired_,
                   .known = known_ ? &*known_ : nullptr,
                   .record = record ? &*record : nullptr,
                   .source = source_ ? &*source_ : nullptr,
                   .tools = &tools_->clone,
                   .server_version = server()->server_version()};
  clone_ = decide_clone(input);
  if (clone_->needs_versions) {
    const auto versions = co_await ask_tool_versions(tools_->clone);
    input.versions = &versions;
    clone_ = decide_clone(input);
  }
  if (clone_->make) desired_.database = clone_->make->database;
  co_return Result<>{};
}

/// Takes away what an interrupted copy left: a database that only ever belonged to this clone, and that nobody uses.
Task<Result<>> DeploymentFlow::discard_copy() {
  const auto record = *clone_->discard;
  const std::vector<Action> actions{{.kind = ActionKind::discard_copy,
                                     .sign = Sign::change,
                                     .object = "discard",
                                     .name = "database " + record.database,
                                     .detail = "a copy that was interrupted",
                                     .subject = record.database}};
  auto there = co_await observe_server(server(), {record.database});
  if (!there) co_return failure(std::move(there.error()).while_doing(desired_.title()));
  const auto* database = there->database(record.database);
  const bool in_use = known_->deployment.ready_at && known_->deployment.database_name == record.database;
  if (database != nullptr && (in_use || database->owner != desired_.names.base)) {
    co_return failure(Error(ErrorKind::conflict,
                            fmt::format("{}: the interrupted copy \"{}\" is {}; it is not taken away", desired_.title(),
                                        record.database, in_use ? "in use" : "owned by " + database->owner))
                          .handled_by(Handling::needs_person));
  }
  if (database != nullptr) {
    auto done = co_await write_ahead(actions);
    const auto began = steady_now();
    // As its owner, which an admin who is no superuser must be to drop it; outside any transaction.
    if (done) done = co_await run_alone(server(), "SET ROLE " + pg::quote_identifier(desired_.names.base));
    if (done)
      done = co_await run_alone(
          server(), statements_for(actions.front(), {.facts = observed_.facts, .desired = desired_}).front());
    if (!server()->broken()) {
      auto reset = co_await run_alone(server(), "SET ROLE NONE");
      if (done && !reset) done = std::move(reset);
    }
    note_end(actions, done, began);
    if (!done) co_return failure(std::move(done.error()).while_doing(desired_.title() + ": discard a copy"));
    ++actions_done_;
    step("copy discarded");
  }
  auto recorded = co_await store::advance_clone(control(), record.id, store::CloneState::discarded);
  if (!recorded) co_return failure(std::move(recorded.error()).while_doing(desired_.title()));
  step("discard recorded");
  co_return Result<>{};
}

/// On disk before the database is made: whoever finds it half made knows that it may go.
Task<Result<>> DeploymentFlow::begin_copy() {
  auto& make = *clone_->make;
  if (make.id != 0) co_return Result<>{};  // goes on with one that is whole
  make.deployment_id = deployment()->id;
  auto begun = co_await store::begin_clone(control(), make);
  if (!begun) co_return failure(std::move(begun.error()).while_doing(desired_.title() + ": clone"));
  make = *std::move(begun);
  step("clone begun");
  co_return Result<>{};
}

/// A tenant's own way into its database: what the application has, or what this flow has just made.
Task<Result<CopyEnd>> DeploymentFlow::copy_end(std::int64_t deployment_id, std::string role, std::string database) {
  auto published = co_await store::published_credential(control(), deployment_id);
  if (!published) co_return failure(std::move(published.error()));
  if (!*published && deployment_id == deployment()->id) *published = credential_;
  if (!*published) co_return failure(ErrorKind::not_found, fmt::format("{} has no credential yet", role));
  auto password = store::open_password(*tools_->key, **published);
  if (!password) co_return failure(std::move(password.error()));
  co_return CopyEnd{.user = (*published)->login.login,
                    .password = *std::move(password),
                    .role = std::move(role),
                    .database = std::move(database)};
}

/// pg_dump | pg_restore, each as the tenant whose database it is about.
Task<Result<>> DeploymentFlow::dump_and_restore(std::string title) {
  const auto& make = *clone_->make;
  auto from = co_await copy_end(source_->deployment.id, source_->deployment.base_name, make.from);
  if (!from) co_return failure(std::move(from.error()).while_doing(title));
  auto to = co_await copy_end(deployment()->id, desired_.names.base, make.database);
  if (!to) co_return failure(std::move(to.error()).while_doing(title));
  audit_.add("copy", copy_text(tools_->clone, *from, *to));
  auto written = co_await audit_.write_ahead(control());
  if (!written) co_return failure(std::move(written.error()).while_doing(title));
  const auto room = co_await tools_->budget->take(pool_, 2, deadline_);
  if (!room) co_return failure(Error(room.error()).while_doing(title));
  const auto began = steady_now();
  auto done = co_await copy_database(pool().config().server, *std::move(from), *std::move(to), tools_->clone);
  audit_.ended("copy", done, std::chrono::duration_cast<std::chrono::microseconds>(steady_now() - began));
  co_return done;
}

Task<Result<>> DeploymentFlow::copy() {
  auto& make = *clone_->make;
  if (make.state >= store::CloneState::copied) co_return Result<>{};
  const auto title = fmt::format("{}: copy {}", desired_.title(), make.from);
  std::vector<Action> actions;
  for (const auto& action : foreseen_) {
    if (stage_of(action.kind) == Stage::copy) actions.push_back(action);
  }
  auto written = co_await write_ahead(actions);
  if (!written) co_return failure(std::move(written.error()).while_doing(title));
  const auto began = steady_now();
  auto done = copies_by_template() ? co_await take_over(title) : co_await dump_and_restore(title);
  note_end(actions, done, began);
  if (!done) {
    clone_->discard = make;
    auto discarded = co_await discard_copy();
    if (!discarded)
      tools_->log.warn(desired_.title(), "the copy that failed is taken away by the next pass",
                       {{"cause", discarded.error().to_string()}});
    co_return failure(std::move(done.error()).while_doing(title));
  }
  step("copied");
  auto recorded = co_await store::advance_clone(control(), make.id, store::CloneState::copied);
  if (!recorded) co_return failure(std::move(recorded.error()).while_doing(title));
  make.state = store::CloneState::copied;
  actions_done_ += actions.size();
  step("copy recorded");
  co_return Result<>{};
}

/// One transaction; safe to repeat.
Task<Result<>> DeploymentFlow::finish_copy(pg::Connection* inside) {
  const auto& source_base = source_->deployment.base_name;
  std::vector<std::string> wanted = desired_.schemas;
  for (const auto& [from, to] : renamed_schemas(desired_, source_base)) wanted.push_back(from);
  auto observed = co_await observe_inside(inside, desired_.names.base, std::move(wanted));
  if (!observed) co_return failure(std::move(observed.error()));
  std::vector<std::string> there;
  for (const auto& schema : observed->schemas) there.push_back(schema.name);
  const auto text = finishing_text(desired_, there, source_base);
  audit_.add("rename_schemas", text);
  auto done = co_await audit_.write_ahead(control());
  const auto began = steady_now();
  if (done) done = co_await begin_batch(inside, session_settings() + text);
  if (done) done = co_await commit_stage(inside, "schemas renamed");
  audit_.ended("rename_schemas", done, std::chrono::duration_cast<std::chrono::microseconds>(steady_now() - began));
  if (!done) co_return done;
  // A function's body is a text; what it says of the old schema is not ours to rewrite.
  auto named = co_await inside->query(
      "SELECT count(*) FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_roles r ON r.oid = p.proowner "
      "WHERE r.rolname = $1::text AND pg_catalog.strpos(p.prosrc, $2::text || '.') > 0",
      {desired_.names.base, source_base});
  if (!named) co_return failure(std::move(named.error()));
  if (const auto count = (*named)[0].get<std::int64_t>(0); count != 0 && source_base != desired_.names.base) {
    notes_.push_back(fmt::format("{} functions name schema {} in their bodies, which is called {} here", count,
                                 source_base, desired_.names.base));
  }
  co_return Result<>{};
}

}  // namespace opi::provision
