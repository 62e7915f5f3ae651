#include "kube/authentication.hpp"

namespace opi::kube {

bool Authentication::fresh() const noexcept {
  // Asked for anew a little early: the server's clock is not ours, and requests take time.
  constexpr std::chrono::seconds margin{10};
  return credential_ && (!credential_->expires || system_clock().wall() + margin < *credential_->expires);
}

Task<Result<const Credential*>> Authentication::current(SteadyTime deadline) {
  if (fresh()) co_return &*credential_;
  auto turn = co_await fetching_.take(deadline);
  if (!turn) co_return failure(std::move(turn).error().while_doing("waiting for credentials"));
  if (!fresh()) {  // else somebody fetched it meanwhile
    auto fetched = co_await source_->get(deadline);
    if (!fetched) co_return failure(std::move(fetched).error());
    credential_ = std::move(*fetched);
    ++number_;
  }
  co_return &*credential_;
}

}  // namespace opi::kube
