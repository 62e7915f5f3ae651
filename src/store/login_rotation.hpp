#pragma once
/// @file
/// How long a login that was replaced stays valid, written down when its successor is published.

#include <chrono>
#include <cstdint>

#include "aio/task.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"

namespace opi::store {

/// What is promised to whoever still has the old credential. By the clock of the control database.
struct RotationTimes {
  std::chrono::seconds overlap{0};  ///< the old login stays valid
  std::chrono::seconds grace{0};    ///< after that: sessions that are open may go on
};

/// The credential `successor` took over: every other one of its deployment (slots a and b) that is not retired gets its
/// times, unless it has them already. A later change of the rules does not shorten what was promised. Durable when this
/// returns; meant for the transaction that publishes. Errors: those of Connection.
Task<Result<>> replace_logins(pg::Connection* connection, std::int64_t deployment_id, std::int64_t successor,
                              RotationTimes times);

/// A person says that replaced logins of the deployment end now: overlap and grace are over. Errors: those of
/// Connection.
Task<Result<>> end_overlap(pg::Connection* connection, std::int64_t deployment_id);

}  // namespace opi::store
