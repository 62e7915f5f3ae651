#pragma once
/// @file
/// Desired objects as commits in a repository that something else syncs to the cluster.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "aio/blocking_pool.hpp"
#include "git/push.hpp"
#include "provision/cluster_target.hpp"
#include "provision/gitops_manifests.hpp"
#include "rest/turns.hpp"

namespace opi::provision {

/// Every write is part of one commit; nothing is committed when nothing differs. A Secret counts as unchanged when its
/// file is the one that was written last, which Git's id says without opening it.
///
/// Ownership: `blocking` outlives it. Threading: one executor's thread; writes stand in line. Cancellation: as
/// git::Pusher.
class GitopsTarget final : public ClusterTarget {
 public:
  GitopsTarget(git::PushSettings push, GitopsRules rules, aio::BlockingPool& blocking, Logger log);

  std::string describe() const override;
  bool writes_together() const noexcept override { return true; }
  Task<Result<std::vector<ObservedObject>>> observe(std::vector<LookedAt> objects, SteadyTime deadline) override;
  Task<std::vector<Result<Written>>> write(std::vector<ClusterWrite> writes, std::string message,
                                           SteadyTime deadline) override;
  /// There is nobody to tell: the commit says it.
  Task<std::vector<Result<Written>>> rehearse(std::vector<ClusterWrite> writes, SteadyTime deadline) override;
  Task<> tell(std::vector<ClusterEvent> events, SteadyTime deadline) override;

  /// git processes started.
  std::uint64_t commands() const noexcept { return pusher_.commands(); }
  std::uint64_t commits() const noexcept { return commits_; }

 private:
  struct Batch;
  std::string folder() const;
  Task<Result<std::vector<ObservedObject>>> look(std::vector<LookedAt> objects, SteadyTime deadline);
  ObservedObject judge(const LookedAt& looked, const git::RemoteTree& tree) const;
  Result<git::TreeChange> render(const Batch& batch, const git::RemoteTree& tree) const;

  std::string url_;
  GitopsRules rules_;
  Logger log_;
  git::Pusher pusher_;
  aio::BlockingPool& blocking_;
  rest::Turns turns_{1};
  std::uint64_t commits_ = 0;
};

}  // namespace opi::provision
