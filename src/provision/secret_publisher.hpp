#pragma once
/// @file
/// The step between the proof of a login and the journal's "done": the application is given its credentials.

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"
#include "provision/desired_state.hpp"
#include "store/credential_journal.hpp"

namespace opi::provision {

/// What became of it.
enum class HandOver {
  done,   ///< the application can read it
  later,  ///< it is collected with others; the flow runs again when all of it has landed
};

/// Hands credentials over. Threading: one executor's thread; calls overlap.
class SecretPublisher {
 public:
  virtual ~SecretPublisher() = default;
  /// Under the deployment's locks. The arguments outlive the call; `database` is the name of its database. Errors: why
  /// the journal may not say "done": conflict (it is somebody else's Secret), unavailable (the cluster), denied.
  virtual Task<Result<HandOver>> hand_over(pg::Connection* control, const DesiredDeployment* desired,
                                           std::string database, const store::Credential* credential,
                                           SteadyTime deadline) = 0;
};

}  // namespace opi::provision
