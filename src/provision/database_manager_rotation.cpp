// Rotation on demand, of one deployment or of many.

#include <boost/asio/this_coro.hpp>
#include <memory>
#include <utility>

#include "provision/manager_parts.hpp"

namespace opi::provision {

Task<Result<ApplyReport>> DatabaseManager::rotate(Selection selection, store::Cause cause, RotationPace pace,
                                                  Progress progress) {
  const auto began = SystemClock().steady();
  auto wanted = desired(selection);
  if (wanted.empty()) co_return failure(nothing_selected(selection));
  auto executor = co_await asio::this_coro::executor;
  auto work = std::make_shared<Work>(executor);
  work->cause = std::move(cause);
  work->progress = std::move(progress);
  for (auto& one : wanted) work->queue.push_back({std::move(one), {.rotation = pace}});
  ClusterRound cluster;
  co_await begin_cluster(&cluster, nullptr, selection, work->cause);
  cluster.items = work->queue;
  co_await run_flows(work);
  co_await end_cluster(&cluster, work);
  ApplyReport report{.deployments = std::move(work->reports)};
  report_cluster(cluster, report);
  sort_rows(report);
  report.duration = std::chrono::duration_cast<std::chrono::microseconds>(SystemClock().steady() - began);
  co_return report;
}

}  // namespace opi::provision
