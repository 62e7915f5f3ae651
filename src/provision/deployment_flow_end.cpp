// The end of a flow: the proof by login, the record, and what is written down however it ended.

#include <fmt/format.h>

#include <utility>

#include "aio/with_deadline.hpp"
#include "pg/transaction.hpp"
#include "provision/batch.hpp"
#include "provision/deployment_flow.hpp"
#include "provision/login_check.hpp"
#include "provision/observe.hpp"

namespace opi::provision {
namespace {

constexpr std::chrono::seconds tail_time{10};

SteadyTime steady_now() {
  return SystemClock().steady();
}

Error unproven(const DesiredDeployment& desired, const std::string& login, LoginProof proof) {
  auto error = std::move(proof.error)
                   .while_doing(fmt::format("{}: login {} {}", desired.title(), login, to_string(proof.verdict)));
  if (proof.verdict == LoginVerdict::refused && error.remedy.empty()) {
    error.remedy = "let pg_hba.conf admit it with scram-sha-256 from here; its password was not changed";
  }
  return error;
}

}  // namespace

/// Verified by a real login, as the application will do it. A login that was proven once is not tried again: a tenant
/// who changed its password is reported by the plan, and nothing is reset.
Task<Result<>> DeploymentFlow::prove() {
  if (credential_->state >= store::CredentialState::verified && !cloning()) co_return Result<>{};
  const auto login = credential_->login.login;
  auto password = store::open_password(*tools_->key, *credential_);
  if (!password) co_return failure(std::move(password.error()).while_doing(desired_.title()));
  const auto settings = tenant_settings(pool().config().server, login, *password, desired_.database);
  const auto room = co_await tools_->budget->take(pool_, 1, deadline_);
  if (!room) co_return failure(Error(room.error()).while_doing(desired_.title()));
  const auto began = steady_now();
  ++tools_->stats->login_checks;
  auto proof = co_await prove_login(settings, tools_->blocking, deadline_);
  if (proof.verdict == LoginVerdict::wrong_password) {
    auto mended = co_await set_journaled_password(login);
    if (!mended) co_return mended;
    ++tools_->stats->login_checks;
    proof = co_await prove_login(settings, tools_->blocking, deadline_);
  }
  note_end({login_proof(login)},
           proof.verdict == LoginVerdict::works ? Result<>{} : Result<>(failure(Error(proof.error))), began);
  if (proof.verdict != LoginVerdict::works) co_return failure(unproven(desired_, login, std::move(proof)));
  if (proof.current_user != desired_.names.base || proof.current_schema != desired_.names.base) {
    co_return failure(ErrorKind::conflict,
                      fmt::format("{}: login {} acts as {} in schema \"{}\" instead of {}", desired_.title(), login,
                                  proof.current_user, proof.current_schema, desired_.names.base));
  }
  if (credential_->state >= store::CredentialState::verified) co_return Result<>{};
  auto verified = co_await store::advance(control(), credential_->id, store::CredentialState::verified);
  if (!verified) co_return failure(std::move(verified.error()).while_doing(desired_.title()));
  credential_->state = store::CredentialState::verified;
  step("verified");
  co_return Result<>{};
}

/// The same for the reader, who acts as itself.
Task<Result<>> DeploymentFlow::prove_reader() {
  if (!reader_ || reader_->state >= store::CredentialState::verified) co_return Result<>{};
  const auto login = reader_->login.login;
  auto password = store::open_password(*tools_->key, *reader_);
  if (!password) co_return failure(std::move(password.error()).while_doing(desired_.title()));
  const auto settings = tenant_settings(pool().config().server, login, *password, desired_.database);
  const auto room = co_await tools_->budget->take(pool_, 1, deadline_);
  if (!room) co_return failure(Error(room.error()).while_doing(desired_.title()));
  const auto began = steady_now();
  ++tools_->stats->login_checks;
  auto proof = co_await prove_login(settings, tools_->blocking, deadline_);
  if (proof.verdict == LoginVerdict::wrong_password) {
    auto mended = co_await set_journaled_password(login);
    if (!mended) co_return mended;
    ++tools_->stats->login_checks;
    proof = co_await prove_login(settings, tools_->blocking, deadline_);
  }
  if (proof.verdict != LoginVerdict::works) co_return failure(unproven(desired_, login, std::move(proof)));
  note_end({login_proof(login)}, Result<>{}, began);
  auto verified = co_await store::advance(control(), reader_->id, store::CredentialState::verified);
  if (!verified) co_return failure(std::move(verified.error()).while_doing(desired_.title()));
  reader_->state = store::CredentialState::verified;
  step("reader verified");
  co_return Result<>{};
}

/// The server says that the password is wrong. Believed only if the role may log in and is not expired; then the
/// journaled verifier is set again, the same bytes. There is no way from here to a new password.
Task<Result<>> DeploymentFlow::set_journaled_password(std::string login) {
  auto observed = co_await observe_server(server(), {login});
  if (!observed) co_return failure(std::move(observed.error()).while_doing(desired_.title()));
  const auto* role = observed->role(login);
  if (role == nullptr || !role->login || role->expired) {
    co_return failure(ErrorKind::conflict,
                      fmt::format("{}: login {} may not log in or has expired; its password is not touched",
                                  desired_.title(), login));
  }
  std::vector<Action> actions{{.kind = ActionKind::set_password,
                               .sign = Sign::drift,
                               .object = "login",
                               .name = login,
                               .detail = "its password is set as it was journaled",
                               .subject = login}};
  auto done = co_await run_stage(server(), Stage::logins, actions);
  if (!done) co_return failure(std::move(done.error()).while_doing(desired_.title()));
  co_return done;
}

/// Published and done in one transaction: the control database is where the credentials are read from.
Task<Result<>> DeploymentFlow::record() {
  const auto inputs = desired_.inputs_hash();
  const bool finish_reader = reader_ && reader_->state < store::CredentialState::done;
  const bool finish_credential = credential_->state < store::CredentialState::done;
  const auto& known = *deployment();
  const bool recorded =
      known.state == store::DeploymentState::ready && known.inputs_hash == inputs && known.last_error.empty();
  if (!finish_credential && !finish_reader && recorded && !looked_inside_ && !cloning()) co_return Result<>{};
  if (finish_credential || cloning()) {
    auto handed = co_await hand_over();
    if (!handed || handed_later_) co_return handed;
  }
  auto transaction = co_await pg::Transaction::begin(*control());
  if (!transaction) co_return failure(std::move(transaction.error()).while_doing(desired_.title()));
  Result<> done;
  if (finish_credential) done = co_await publish();
  if (done && finish_reader) done = co_await store::advance(control(), reader_->id, store::CredentialState::done);
  if (done) {
    store::DeploymentChange change{.id = known.id, .state = store::DeploymentState::ready, .inputs_hash = inputs};
    change.last_error = "";
    change.looked_deep = looked_inside_;
    if (cloning()) {
      change.database_name = clone_->make->database;
      change.generation = clone_->make->generation;
    }
    done = co_await store::change_deployment(control(), std::move(change));
  }
  if (done && cloning()) done = co_await store::advance_clone(control(), clone_->make->id, store::CloneState::done);
  if (!done) {
    co_await rollback_batch(control());
    co_return failure(std::move(done.error()).while_doing(desired_.title()));
  }
  step("record: before commit");
  done = co_await transaction->commit();
  if (done) step("recorded");
  co_return done;
}

/// The application can read its credentials before the journal says so. Whoever dies in between, the next flow hands
/// the same bytes over again.
Task<Result<>> DeploymentFlow::hand_over() {
  handed_later_ = false;
  if (tools_->publisher == nullptr) co_return Result<>{};
  const auto database = cloning() ? clone_->make->database : known_->deployment.database_name;
  auto handed = co_await tools_->publisher->hand_over(control(), &desired_, database, &*credential_, deadline_);
  if (!handed) co_return failure(std::move(handed.error()).while_doing(desired_.title()));
  handed_later_ = *handed == HandOver::later;
  step("handed over");
  co_return Result<>{};
}

/// The application is given this login from now on; the one before keeps the time that it is promised.
Task<Result<>> DeploymentFlow::publish() {
  auto done = co_await store::advance(control(), credential_->id, store::CredentialState::published);
  if (done) done = co_await store::advance(control(), credential_->id, store::CredentialState::done);
  if (done) {
    done = co_await store::replace_logins(control(), known_->deployment.id, credential_->id, tools_->rotation.times());
  }
  co_return done;
}

/// However it ended: what was done goes into the history, a failure into the inventory, the locks are given back.
Task<> DeploymentFlow::finish(Result<>* outcome) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await aio::shielded(write_down(outcome));
  co_await asio::this_coro::throw_if_cancelled(true);
}

Task<> DeploymentFlow::write_down(Result<>* outcome) {
  // A session that broke, or that an abandoned statement left in a transaction, is of no more use: dropping it frees
  // the locks.
  if (further_ && further_->operator->()->broken()) further_->discard();
  if (control()->broken() || control()->transaction_status() != pg::TransactionStatus::idle) {
    control_.reset();
    co_return;
  }
  if (!*outcome && known_) {
    auto noted = co_await store::change_deployment(
        control(), {.id = known_->deployment.id, .last_error = outcome->error().to_string()});
    if (!noted)
      tools_->log.warn(desired_.title(), "its failure could not be recorded", {{"cause", noted.error().to_string()}});
  }
  if (auto closed = co_await audit_.close(control()); !closed)
    tools_->log.warn(desired_.title(), "its history could not be finished", {{"cause", closed.error().to_string()}});
  tools_->stats->statements += control()->statements_run() - control_began_;
  if (further_) tools_->stats->statements += (*further_)->statements_run() - further_began_;
  auto released = co_await control_->release(steady_now() + tail_time);
  if (!released)
    tools_->log.warn(desired_.title(), "its locks end with their session", {{"cause", released.error().to_string()}});
  control_.reset();
}

}  // namespace opi::provision
