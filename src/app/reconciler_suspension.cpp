#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "app/reconciler.hpp"

namespace opi::app {
namespace {

constexpr std::chrono::seconds lease_patience{10};

}  // namespace

bool Reconciler::suspended(store::SuspendedKind kind, std::string_view name) const {
  return std::ranges::any_of(suspensions_, [&](const auto& one) { return one.kind == kind && one.name == name; });
}

bool Reconciler::suspended_file(std::string_view file) const {
  if (suspensions_.empty()) return false;
  return std::ranges::any_of(services_->projects().projects(), [&](const auto& one) {
    return one.source.file == file && suspended(store::SuspendedKind::project, one.project.name.value);
  });
}

Task<Result<>> Reconciler::suspend(store::SuspendedKind kind, std::string name, std::string reason) {
  if (!prepared_) co_return failure(ErrorKind::unavailable, "the control database is not ready");
  auto lease = co_await services_->pools().get("main")->get().acquire(
      {.deadline = std::chrono::steady_clock::now() + lease_patience, .task = "suspend"});
  if (!lease) co_return failure(lease.error().to_error());
  if (auto done = co_await store::suspend(&**lease, kind, name, reason); !done)
    co_return failure(std::move(done.error()));
  if (!suspended(kind, name)) {
    suspensions_.push_back({.kind = kind, .name = name, .reason = reason, .since = std::chrono::system_clock::now()});
    log_.info(name, reason.empty() ? "suspended" : fmt::format("suspended: {}", reason));
  }
  co_return Result<>{};
}

Task<Result<>> Reconciler::resume(store::SuspendedKind kind, std::string name) {
  if (!prepared_) co_return failure(ErrorKind::unavailable, "the control database is not ready");
  auto lease = co_await services_->pools().get("main")->get().acquire(
      {.deadline = std::chrono::steady_clock::now() + lease_patience, .task = "resume"});
  if (!lease) co_return failure(lease.error().to_error());
  if (auto done = co_await store::resume(&**lease, kind, name); !done) co_return failure(std::move(done.error()));
  if (std::erase_if(suspensions_, [&](const auto& one) { return one.kind == kind && one.name == name; }) != 0) {
    log_.info(name, "resumed");
    wake();
  }
  co_return Result<>{};
}

}  // namespace opi::app
