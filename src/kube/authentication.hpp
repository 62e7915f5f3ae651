#pragma once
/// @file
/// The credential in use: fetched before it is needed, again when it expires or was refused.

#include <cstdint>
#include <memory>
#include <optional>

#include "kube/access.hpp"
#include "rest/turns.hpp"

namespace opi::kube {

/// Threading: one executor's thread. Concurrent callers share one fetch.
class Authentication {
 public:
  explicit Authentication(std::shared_ptr<CredentialSource> source) : source_(std::move(source)) {}

  /// What to show now; valid until the caller suspends. Errors: those of the source, timed_out, cancelled.
  Task<Result<const Credential*>> current(SteadyTime deadline);
  /// Which credential that is; changes with each fetch.
  std::uint64_t number() const noexcept { return number_; }
  /// The server refused number `refused`: the next `current` asks for another, unless it was fetched meanwhile.
  void reject(std::uint64_t refused) noexcept {
    if (refused == number_) credential_.reset();
  }

 private:
  bool fresh() const noexcept;
  std::shared_ptr<CredentialSource> source_;
  rest::Turns fetching_{1};
  std::optional<Credential> credential_;
  std::uint64_t number_ = 0;
};

}  // namespace opi::kube
