#include "pg/dial_outcome.hpp"

#include <fmt/format.h>

#include "pg/connection.hpp"
#include "pg/sqlstate.hpp"

namespace opi::pg {

bool ends_search(const Error& error) noexcept {
  return error.kind == ErrorKind::denied || error.kind == ErrorKind::not_found || error.kind == ErrorKind::invalid ||
         error.kind == ErrorKind::cancelled;
}

Error wrong_role(const std::string& peer, HostRole role) {
  return Error(ErrorKind::unavailable, fmt::format("{} is a {}", peer, to_string(role)))
      .with_code(std::string(sqlstate::read_only_sql_transaction));
}

bool is_wrong_role(const Error& error) noexcept {
  return error.code == sqlstate::read_only_sql_transaction;
}

Task<Result<HostRole>> role_of(Connection* connection, SteadyTime deadline) {
  const HostRole reported = connection->reported_role();
  if (reported != HostRole::unknown) co_return reported;
  co_return co_await connection->ask_role(deadline);
}

Error DialErrors::take() {
  if (errors_.empty()) return {ErrorKind::internal, "no host was tried"};
  Error last = std::move(errors_.back());
  if (errors_.size() == 1 && !is_wrong_role(last)) return last;
  const std::string_view wanted = target_ == SessionTarget::any ? "" : to_string(target_);
  std::string text = fmt::format("no {}{}server", wanted, wanted.empty() ? "" : " ");
  for (std::size_t index = 0; index < errors_.size(); ++index) {
    const Error& error = index + 1 == errors_.size() ? last : errors_[index];
    text += (index == 0 ? ": " : "; ") + error.message;
  }
  last.message = std::move(text);
  return last;
}

}  // namespace opi::pg
