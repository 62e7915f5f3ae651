#include "app/history_retention.hpp"

#include "store/history.hpp"

namespace opi::app {

namespace {

constexpr std::chrono::hours interval{1};
constexpr int part = 10'000;
constexpr int parts_max = 100;  // the rest goes the next time

}  // namespace

Task<Result<std::int64_t>> HistoryRetention::trim_when_due(pg::DatabasePool* main) {
  const auto now = SystemClock().steady();
  if (retention_.count() == 0 || now < due_) co_return 0;
  auto lease = co_await main->acquire({.task = "trim the history"});
  if (!lease) co_return failure(lease.error().to_error());
  std::int64_t gone = 0;
  for (int i = 0; i < parts_max; ++i) {
    auto trimmed =
        co_await store::trim_history(&**lease, std::chrono::duration_cast<std::chrono::seconds>(retention_), part);
    if (!trimmed) co_return failure(std::move(trimmed.error()));
    gone += *trimmed;
    if (*trimmed < part) break;
  }
  due_ = now + interval;
  co_return gone;
}

}  // namespace opi::app
