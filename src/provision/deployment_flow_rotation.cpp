// Rotation: the other login takes over, and the one before it ends when its time is over.

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <utility>

#include "provision/deployment_flow.hpp"
#include "provision/sessions.hpp"

namespace opi::provision {
namespace {

std::string utc(WallTime time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

}  // namespace

/// The durable intent for the other login is the recorded wish: whoever dies after it, the next pass goes on.
Task<Result<>> DeploymentFlow::rotate(RotationPace pace) {
  if (order_.landed) {
    if (pace == RotationPace::immediately && !handed_later_) co_return co_await end_now();
    co_return Result<>{};
  }
  if (first_time_) {
    notes_.push_back("was made just now; its password is new");
    co_return Result<>{};
  }
  auto way = co_await make_way(pace);
  if (!way) co_return way;
  const auto next = other_of(credential_->login.slot);
  const auto before = credential_->login.login;
  auto intent = co_await store::begin_intent(control(), tools_->key,
                                             {.deployment_id = deployment()->id,
                                              .stamp = deployment()->stamp,
                                              .slot = next,
                                              .login = login_of(desired_.names, next)});
  if (!intent) co_return failure(std::move(intent.error()).while_doing(desired_.title()));
  step("rotation: intent");
  auto settled = co_await settle();
  if (!settled || refusal_ || handed_later_) co_return settled;
  if (pace == RotationPace::immediately) {
    auto ended = co_await end_now();
    if (!ended || refusal_) co_return ended;
    notes_.push_back(fmt::format("{} took over; {} has ended", login_of(desired_.names, next), before));
    co_return Result<>{};
  }
  auto looked = co_await look();
  if (!looked) co_return looked;
  if (const auto* replaced = replaced_login(*known_)) {
    notes_.push_back(fmt::format("{} took over; {} is valid until {}", login_of(desired_.names, next), replaced->login,
                                 utc(*replaced->overlap_until)));
  }
  co_return Result<>{};
}

/// Two logins: the other one is free only when the last rotation is over.
Task<Result<>> DeploymentFlow::make_way(RotationPace pace) {
  auto looked = co_await look();
  if (!looked) co_return looked;
  const auto* current = known_ ? current_login(*known_) : nullptr;
  if (current == nullptr || current->state != store::CredentialState::done ||
      known_->deployment.state != store::DeploymentState::ready) {
    co_return failure(Error(ErrorKind::conflict, desired_.title() + ": is not ready, so there is nothing to rotate")
                          .with_remedy("run: opi apply"));
  }
  const auto* replaced = replaced_login(*known_);
  if (replaced == nullptr) co_return Result<>{};
  if (pace == RotationPace::immediately) {
    auto ended = co_await end_now();
    if (ended && !refusal_) co_return co_await look();
    co_return ended;
  }
  co_return failure(
      Error(ErrorKind::conflict,
            fmt::format("{}: its last rotation is not over: {} is valid until {}, its sessions "
                        "until {}",
                        desired_.title(), replaced->login, utc(*replaced->overlap_until), utc(*replaced->grace_until)))
          .with_remedy("wait for it, or give it up: opi rotate --immediately")
          .handled_by(Handling::wait));
}

/// What was promised to a replaced login is taken back, and it ends.
Task<Result<>> DeploymentFlow::end_now() {
  auto over = co_await store::end_overlap(control(), deployment()->id);
  if (!over) co_return failure(std::move(over.error()).while_doing(desired_.title()));
  step("overlap ended");
  co_return co_await settle();
}

/// NOLOGIN is on disk before the first session is ended, so that nobody comes back; then the password is forgotten.
Task<Result<>> DeploymentFlow::do_endings() {
  DeploymentPlan plan;
  plan_login_part(input(), plan);
  const auto credentials = known_->credentials;
  for (const auto& one : credentials) {
    if (fate_of(input(), one.slot) != LoginFate::ending) continue;
    std::vector<Action> actions;
    for (const auto& action : plan.actions) {
      if (action.subject == one.login && stage_of(action.kind) >= Stage::disable) actions.push_back(action);
    }
    auto ended = co_await end_login(one, std::move(actions));
    if (!ended) co_return failure(std::move(ended.error()).while_doing(desired_.title()));
  }
  co_return Result<>{};
}

Task<Result<>> DeploymentFlow::end_login(store::CredentialSummary ending, std::vector<Action> actions) {
  auto done = co_await run_stage(server(), Stage::disable, actions);
  if (!done) co_return done;
  std::erase_if(actions, [](const Action& action) { return action.kind != ActionKind::end_sessions; });
  if (!actions.empty()) {
    auto written = co_await write_ahead(actions);
    if (!written) co_return written;
    const auto began = SystemClock().steady();
    done = co_await end_sessions(server(), observed_.facts, {ending.login}, deadline_);
    note_end(actions, done, began);
    if (!done) co_return done;
    ++actions_done_;
    step("sessions ended");
  }
  done = co_await store::advance(control(), ending.id, store::CredentialState::retired);
  if (done) step("retired");
  co_return done;
}

}  // namespace opi::provision
