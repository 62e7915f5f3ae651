// What a flow writes down before it acts: declaration, passwords, statements; and what it may not do.

#include <utility>

#include "pg/transaction.hpp"
#include "provision/batch.hpp"
#include "provision/deployment_flow.hpp"
#include "provision/plan_parts.hpp"
#include "provision/rotation.hpp"

namespace opi::provision {

/// The declaration, the credential and the statements are durable before any SQL is run for them; one transaction, so
/// that the disk is waited for once.
Task<Result<>> DeploymentFlow::journal() {
  auto transaction = co_await pg::Transaction::begin(*control());
  if (!transaction) co_return failure(std::move(transaction.error()).while_doing(desired_.title()));
  auto written = co_await write_journal();
  if (!written || refusal_) {
    co_await rollback_batch(control());
    co_return written;
  }
  auto done = co_await transaction->commit();
  if (!done) co_return failure(std::move(done.error()).while_doing(desired_.title()));
  step("journaled");
  co_return done;
}

Task<Result<>> DeploymentFlow::write_journal() {
  store::Declaration declaration{.key = {.project = desired_.project, .deployment = desired_.deployment},
                                 .cluster = tools_->cluster};
  declaration.server_id = server_id_;
  declaration.base_name = desired_.names.base;
  declaration.namespace_ = desired_.namespace_;
  declaration.repository = tools_->repositories->of(desired_.source.file);
  declaration.file = desired_.source.file;
  declaration.blob_id = desired_.source.blob;
  declaration.commit_id = desired_.source.commit;
  declaration.deletion = desired_.deletion;
  auto declared = co_await store::declare_deployment(control(), std::move(declaration));
  if (!declared) {
    if (declared.error().kind != ErrorKind::conflict)
      co_return failure(std::move(declared.error()).while_doing(desired_.title()));
    refusal_ = std::move(declared.error()).at(desired_.place);
    co_return Result<>{};
  }
  if (!known_) known_.emplace();
  known_->deployment = *std::move(declared);
  step("declared");
  if (!credential_) {
    auto intent = co_await journal_intent(store::LoginSlot::a, &credential_);
    if (!intent) co_return intent;
  }
  step("intent");
  if (desired_.read_only_login && fate_of(input(), store::LoginSlot::read_only) < LoginFate::in_use) {
    auto intent = co_await journal_intent(store::LoginSlot::read_only, &reader_);
    if (!intent) co_return intent;
    step("intent of the reader");
  }
  if (credential_->state < store::CredentialState::verified) foreseen_.push_back(login_proof(credential_->login.login));
  auto written = co_await write_ahead(foreseen_);
  if (!written) co_return failure(std::move(written.error()).while_doing(desired_.title()));
  co_return Result<>{};
}

/// In the journal, and known to the planner.
Task<Result<>> DeploymentFlow::journal_intent(store::LoginSlot slot, std::optional<store::Credential>* to) {
  auto intent = co_await store::begin_intent(control(), tools_->key,
                                             {.deployment_id = deployment()->id,
                                              .stamp = deployment()->stamp,
                                              .slot = slot,
                                              .login = login_of(desired_.names, slot)});
  if (!intent) co_return failure(std::move(intent.error()).while_doing(desired_.title()));
  *to = *std::move(intent);
  const auto& made = **to;
  if (credential_of(&*known_, slot) != nullptr) co_return Result<>{};
  known_->credentials.push_back({.id = made.id,
                                 .slot = slot,
                                 .login = made.login.login,
                                 .generation = made.generation,
                                 .state = made.state,
                                 .verifier = made.verifier,
                                 .created_at = made.created_at});
  co_return Result<>{};
}

/// Nothing is run that is not written down before.
Task<Result<>> DeploymentFlow::write_ahead(std::vector<Action> actions) {
  audit_.add(actions, statement_context());
  co_return co_await audit_.write_ahead(control());
}

void DeploymentFlow::note_end(const std::vector<Action>& actions, const Result<>& outcome, SteadyTime began) {
  audit_.ended(actions, outcome, std::chrono::duration_cast<std::chrono::microseconds>(SystemClock().steady() - began));
}

Action DeploymentFlow::login_proof(const std::string& login) {
  return {.kind = ActionKind::verify_login, .object = "login", .name = login, .detail = "proven", .subject = login};
}

/// True, with the refusal set, for what was not in the approved plan, or needs approval and has none.
bool DeploymentFlow::forbidden(const std::vector<Action>& actions) {
  if (order_.approved) {
    refusal_ = order_.approved->refusal_of(actions);
  } else if (const auto kinds = demanded_approval(actions, tools_->approval); !kinds.empty()) {
    refusal_ = needs_approval(desired_.project, desired_.deployment, kinds);
  }
  return refusal_.has_value();
}

}  // namespace opi::provision
