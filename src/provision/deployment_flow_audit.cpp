// What a flow writes down, and what it may not do.

#include <utility>

#include "provision/deployment_flow.hpp"
#include "provision/stamp.hpp"

namespace opi::provision {

/// Nothing is run that is not written down before.
Task<Result<>> DeploymentFlow::write_ahead(std::vector<Action> actions) {
  const Stamp stamp{.id = known_->deployment.stamp, .project = desired_.project, .deployment = desired_.deployment};
  audit_.add(actions, {.facts = observed_.facts, .desired = desired_, .stamp = stamp.to_comment()});
  co_return co_await audit_.write_ahead(control());
}

void DeploymentFlow::note_end(const std::vector<Action>& actions, const Result<>& outcome, SteadyTime began) {
  audit_.ended(actions, outcome, std::chrono::duration_cast<std::chrono::microseconds>(SystemClock().steady() - began));
}

Action DeploymentFlow::login_proof() const {
  const auto& login = desired_.names.login_a;
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
