#include "provision/batch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <utility>

#include "pg/quote.hpp"
#include "pg/sqlstate.hpp"

namespace opi::provision {
namespace {

namespace sqlstate = pg::sqlstate;
using Warnings = std::vector<pg::Notice>;

/// Collects the warnings that count as errors while it lives. Shared with the handler, which may outlive an abandoned
/// operation.
class WarningTrap {
 public:
  explicit WarningTrap(pg::Connection* connection) : connection_(connection), caught_(std::make_shared<Warnings>()) {
    connection_->on_notice([caught = caught_](const pg::Notice& notice) {
      const bool counts = notice.sqlstate == sqlstate::warning_privilege_not_granted ||
                          notice.sqlstate == sqlstate::warning_privilege_not_revoked;
      if (counts) caught->push_back(notice);
    });
  }
  ~WarningTrap() { connection_->on_notice({}); }
  WarningTrap(const WarningTrap&) = delete;
  WarningTrap& operator=(const WarningTrap&) = delete;

  Result<> verdict() const {
    if (caught_->empty()) return {};
    const auto& first = caught_->front();
    return failure(Error(ErrorKind::denied, first.message)
                       .with_code(first.sqlstate)
                       .with_remedy("give our admin the rights of the object's owner, or let the owner do it"));
  }

 private:
  pg::Connection* connection_;
  std::shared_ptr<Warnings> caught_;
};

}  // namespace

std::string batch_text(const std::vector<Action>& actions, const StatementContext& context) {
  std::string text;
  bool as_owner = false;
  for (const auto& action : actions) {
    const bool want_owner = !runs_as_admin(action, context.facts);
    if (want_owner != as_owner) {
      text += want_owner ? fmt::format("SET LOCAL ROLE {};\n", pg::quote_identifier(context.desired.names.base))
                         : "SET LOCAL ROLE NONE;\n";
      as_owner = want_owner;
    }
    for (const auto& statement : statements_for(action, context)) text += statement + ";\n";
  }
  if (as_owner) text += "SET LOCAL ROLE NONE;\n";
  return text;
}

Task<Result<>> begin_batch(pg::Connection* connection, std::string text) {
  Result<> outcome;
  {
    WarningTrap trap(connection);
    auto done = co_await connection->execute("BEGIN;\n" + std::move(text));
    outcome = done ? trap.verdict() : Result<>(failure(std::move(done.error())));
  }
  if (!outcome) co_await rollback_batch(connection);
  co_return outcome;
}

Task<Result<>> commit_batch(pg::Connection* connection) {
  auto done = co_await connection->execute("COMMIT");
  if (!done) co_return failure(std::move(done.error()));
  co_return Result<>{};
}

Task<> rollback_batch(pg::Connection* connection) {
  if (connection->broken() || connection->transaction_status() == pg::TransactionStatus::idle) co_return;
  const auto done = co_await connection->execute("ROLLBACK");
  static_cast<void>(done);  // a session that cannot roll back is broken, and its pool sees that
}

Task<Result<>> run_alone(pg::Connection* connection, std::string statement) {
  WarningTrap trap(connection);
  auto done = co_await connection->execute(std::move(statement));
  if (!done) co_return failure(std::move(done.error()));
  co_return trap.verdict();
}

bool world_moved(const Error& error) noexcept {
  static constexpr std::array codes{sqlstate::unique_violation,      sqlstate::duplicate_database,
                                    sqlstate::duplicate_object,      sqlstate::duplicate_schema,
                                    sqlstate::undefined_object,      sqlstate::invalid_catalog_name,
                                    sqlstate::serialization_failure, sqlstate::deadlock_detected,
                                    sqlstate::object_in_use,         sqlstate::lock_not_available};
  if (std::ranges::find(codes, std::string_view(error.code)) != codes.end()) return true;
  return error.code == sqlstate::internal_error && error.message.find("concurrently") != std::string::npos;
}

}  // namespace opi::provision
