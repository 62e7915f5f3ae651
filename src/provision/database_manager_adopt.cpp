// The part of the DatabaseManager that takes over what was made by others.

#include <fmt/format.h>

#include <boost/asio/this_coro.hpp>
#include <utility>

#include "base/clock.hpp"
#include "provision/adopt.hpp"
#include "provision/login_check.hpp"
#include "provision/manager_parts.hpp"
#include "provision/observe.hpp"
#include "store/adoption.hpp"
#include "store/catalogue_locks.hpp"

namespace opi::provision {
namespace {

Error nothing_to_adopt(const DesiredDeployment& wanted, const std::string& why) {
  return Error(ErrorKind::conflict, fmt::format("{}: {}; there is nothing to adopt", wanted.title(), why))
      .with_remedy(fmt::format("run: opi apply {} {}", wanted.project, wanted.deployment));
}

/// As it will be known when the adoption is recorded.
store::InventoryEntry as_adopted(const store::InventoryEntry* known, const DesiredDeployment& wanted,
                                 bool with_password) {
  store::InventoryEntry entry;
  if (known != nullptr) entry = *known;
  entry.deployment.adoption = store::Adoption::full;
  if (known == nullptr) {
    entry.deployment.key = {.project = wanted.project, .deployment = wanted.deployment};
    entry.deployment.base_name = entry.deployment.database_name = wanted.names.base;
  }
  if (with_password && entry.credentials.empty()) {
    entry.credentials.push_back({.slot = store::LoginSlot::a, .login = wanted.names.base, .generation = 1});
    entry.credentials.back().state = store::CredentialState::applied;
  }
  return entry;
}

}  // namespace

Task<Result<AdoptReport>> DatabaseManager::adopt_report(std::string project, std::string deployment,
                                                        bool with_password) {
  auto estate = co_await observe(desired({.project = project, .deployment = deployment}), false);
  if (!estate) co_return failure(std::move(estate.error()).while_doing("adopt"));
  if (estate->desired.empty()) {
    co_return failure(nothing_selected({.project = project, .deployment = deployment}));
  }
  auto wanted = estate->desired.front();
  if (wanted.refusal) co_return failure(*wanted.refusal);
  const auto* server = estate->server(wanted.pool);
  if (server == nullptr) co_return failure(estate->servers.at(wanted.pool).error());
  const auto* known = estate->inventory.find(project, deployment);
  if (server->role(wanted.names.base) == nullptr || server->database(wanted.names.base) == nullptr)
    co_return failure(nothing_to_adopt(wanted, fmt::format("role or database \"{}\" is not there", wanted.names.base)));
  if (known != nullptr && known->deployment.ready_at && known->deployment.adoption == store::Adoption::none)
    co_return failure(nothing_to_adopt(wanted, "it was made by us"));
  const auto entry = as_adopted(known, wanted, with_password);
  use_journaled_logins(wanted, &entry);
  PlanInput input{.desired = wanted, .server = *server, .known = &entry};
  AdoptReport report;
  report.full = plan_deployment(input);
  if (!report.full.refusal) {
    auto inside = co_await enter(&wanted, true);
    if (!inside) co_return failure(std::move(inside.error()).while_doing(wanted.title() + ": enter its database"));
    input.inside = &*inside;
    report.full = plan_deployment(input);
  }
  if (report.full.refusal) co_return failure(*report.full.refusal);
  report.additive = report.full;
  report.additive.notes.clear();
  std::erase_if(report.additive.actions, [](const Action& action) { return !is_additive(action); });
  std::erase_if(report.full.actions, [](const Action& action) { return is_additive(action); });
  co_return report;
}

/// The password is proven before it is written down: one that does not open the database would be handed out.
Task<Result<>> DatabaseManager::prove_adopted(const DesiredDeployment* wanted, const SecretString* password) {
  auto& pool = wanted->pool == "main" ? main_ : tools_.pools->get(wanted->pool)->get();
  const auto settings = tenant_settings(pool.config().server, wanted->names.base, *password, wanted->names.base);
  const auto deadline = steady_now() + settings_.plan_deadline;
  const auto room = co_await budget_.take(&pool, 1, deadline);
  if (!room) co_return failure(room.error());
  ++stats_.login_checks;
  auto proof = co_await prove_login(settings, tools_.blocking, deadline);
  if (proof.verdict == LoginVerdict::works) co_return Result<>{};
  co_return failure(std::move(proof.error)
                        .while_doing(fmt::format("{}: the given password of \"{}\" {}; nothing was changed",
                                                 wanted->title(), wanted->names.base, to_string(proof.verdict))));
}

Task<Result<>> DatabaseManager::record_adoption(const DesiredDeployment* wanted, AdoptOrder order, store::Cause cause,
                                                std::optional<std::string> verifier) {
  const auto deadline = steady_now() + settings_.plan_deadline;
  auto lease = co_await main_.acquire({.deadline = deadline, .task = "adopt " + wanted->title()});
  if (!lease) co_return failure(lease.error().to_error());
  std::vector<store::CatalogueRow> rows{{.kind = store::RowKind::deployment, .name = wanted->title()}};
  auto locked = co_await store::LockedLease::acquire(*std::move(lease), std::move(rows), deadline);
  if (!locked) co_return failure(std::move(locked.error()));
  auto* control = locked->connection();
  store::Declaration declaration{.key = {.project = wanted->project, .deployment = wanted->deployment},
                                 .cluster = settings_.rules.cluster};
  const auto id = server_ids_.find(wanted->pool);
  declaration.server_id = id == server_ids_.end() ? 0 : id->second;
  declaration.base_name = wanted->names.base;
  declaration.namespace_ = wanted->namespace_;
  declaration.repository = settings_.repositories.of(wanted->source.file);
  declaration.file = wanted->source.file;
  declaration.blob_id = wanted->source.blob;
  declaration.commit_id = wanted->source.commit;
  declaration.deletion = wanted->deletion;
  auto declared = co_await store::declare_deployment(control, std::move(declaration));
  if (!declared) co_return failure(std::move(declared.error()));
  auto done = co_await store::set_adoption(control, declared->id, order.how_far);
  if (done && order.password) {
    auto intent = co_await store::begin_intent(
        control, tools_.key, {.deployment_id = declared->id, .stamp = declared->stamp, .login = wanted->names.base},
        std::move(order.password));
    if (!intent) co_return failure(std::move(intent.error()));
    if (verifier && intent->state == store::CredentialState::intent)
      done = co_await store::keep_verifier(control, intent->id, *std::move(verifier));
    if (done) done = co_await store::advance(control, intent->id, store::CredentialState::applied);
  }
  if (!done) co_return done;
  store::HistoryEvent event{.at = SystemClock().wall(), .project = wanted->project, .deployment = wanted->deployment};
  event.server = wanted->pool;
  event.action = "adopt";
  event.message = std::string(to_string(order.how_far));
  event.cause = std::move(cause);
  std::vector<store::HistoryEvent> events;
  events.push_back(std::move(event));
  done = co_await store::append_history(control, std::move(events));
  if (!done) co_return done;
  auto released = co_await locked->release(deadline);
  if (!released) co_return failure(std::move(released.error()));
  co_return Result<>{};
}

Task<Result<DeploymentReport>> DatabaseManager::adopt(std::string project, std::string deployment, AdoptOrder order,
                                                      store::Cause cause) {
  const bool with_password = order.password.has_value();
  auto report = co_await adopt_report(project, deployment, with_password);
  if (!report) co_return failure(std::move(report.error()));
  auto wanted = desired({.project = project, .deployment = deployment}).front();
  std::optional<std::string> verifier;
  {
    const auto found = wanted.pool == "main" ? Result<std::reference_wrapper<pg::DatabasePool>>(main_)
                                             : tools_.pools->get(wanted.pool);
    if (!found) co_return failure(found.error());
    auto lease = co_await found->get().acquire({.task = "adopt " + wanted.title()});
    if (!lease) co_return failure(lease.error().to_error());
    auto identity = co_await store::identify_server(&**lease);
    if (!identity) co_return failure(std::move(identity.error()));
    auto observed = co_await observe_server(&**lease, {wanted.names.base});
    if (!observed) co_return failure(std::move(observed.error()));
    if (const auto* role = observed->role(wanted.names.base)) verifier = role->verifier;
    lease->release();
    auto main = co_await main_.acquire({.task = "adopt " + wanted.title()});
    if (!main) co_return failure(main.error().to_error());
    auto record = co_await store::register_server(&**main, wanted.pool, *std::move(identity));
    if (!record) co_return failure(std::move(record.error()));
    server_ids_.insert_or_assign(wanted.pool, record->id);
  }
  if (order.password) {
    auto proven = co_await prove_adopted(&wanted, &*order.password);
    if (!proven) co_return failure(std::move(proven.error()));
  }
  auto recorded = co_await record_adoption(&wanted, std::move(order), cause, std::move(verifier));
  if (!recorded) co_return failure(std::move(recorded.error()).while_doing("adopt " + wanted.title()));
  co_return co_await run_alone(std::move(wanted), std::move(cause), {.look_deep = true});
}

}  // namespace opi::provision
