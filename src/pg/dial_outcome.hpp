#pragma once
/// @file
/// What became of a dial that tried several hosts.

#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "pg/settings.hpp"

namespace opi::pg {

class Connection;

/// True when a server answered and will not have us: its siblings would say the same.
bool ends_search(const Error& error) noexcept;

/// "db1:5432 is a standby", ErrorKind::unavailable with the code 25006.
Error wrong_role(const std::string& peer, HostRole role);
bool is_wrong_role(const Error& error) noexcept;

/// What the server tells by itself, else what it says when asked. The connection outlives the call.
Task<Result<HostRole>> role_of(Connection* connection, SteadyTime deadline);

/// Collects why each host was left, and makes one error of it.
class DialErrors {
 public:
  explicit DialErrors(SessionTarget target) noexcept : target_(target) {}
  void add(Error error) { errors_.push_back(std::move(error)); }
  bool empty() const noexcept { return errors_.empty(); }
  /// The only one as it is; of several the last one's kind and code, in a text that has all of them.
  Error take();

 private:
  SessionTarget target_;
  std::vector<Error> errors_;
};

}  // namespace opi::pg
