#pragma once
/// @file
/// Desired objects on an API server: listed, compared, applied with our field manager.

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "kube/client.hpp"
#include "provision/cluster_target.hpp"
#include "secrets/keyed_hash.hpp"

namespace opi::provision {

struct KubernetesOptions {
  std::size_t parallelism = 8;  ///< objects worked on at the same time
  /// With so many objects to look at, whole collections are listed; with fewer, each is asked for.
  std::size_t list_from = 20;
  std::chrono::seconds call_time{60};           ///< of one request with its repetitions, whatever the whole may take
  std::string reporter = "operations-manager";  ///< the source of events
};

/// Gives the key for hashes of content; null until the control database is open.
using HashSource = std::function<const secrets::KeyedHash*()>;

/// Ownership: owns the client; `blocking`, which the client was made with, outlives it. Threading: one executor's
/// thread. Cancellation: ends a call at its next suspension; the tasks that it started are told and waited for.
class KubernetesTarget final : public ClusterTarget {
 public:
  KubernetesTarget(std::unique_ptr<kube::Client> client, KubernetesOptions options, HashSource hash, Logger log);
  ~KubernetesTarget() override;

  std::string describe() const override;
  bool writes_together() const noexcept override { return false; }
  Task<Result<std::vector<ObservedObject>>> observe(std::vector<LookedAt> objects, SteadyTime deadline) override;
  Task<std::vector<Result<Written>>> write(std::vector<ClusterWrite> writes, std::string message,
                                           SteadyTime deadline) override;
  Task<std::vector<Result<Written>>> rehearse(std::vector<ClusterWrite> writes, SteadyTime deadline) override;
  Task<> tell(std::vector<ClusterEvent> events, SteadyTime deadline) override;

  kube::ClientStats stats() const noexcept { return client_->stats(); }

 private:
  struct Looking;
  struct Writing;
  Task<Result<>> list_all(Looking* looking);
  Task<Result<>> list_kind(Looking* looking, kube::ResourceKind kind);
  Task<> ask_for(Looking* looking, std::size_t index);
  void judge_all(Looking* looking) const;
  SteadyTime soon(SteadyTime deadline) const;
  ObservedObject judge(const LookedAt& looked, const kube::Object* found) const;
  Task<> rehearse_one(Writing* writing, std::size_t index);
  Task<> write_one(Writing* writing, std::size_t index);
  Task<Result<Written>> apply(ClusterWrite* write, SteadyTime deadline);
  Task<> tell_one(std::vector<ClusterEvent>* events, SteadyTime deadline, std::size_t index);

  using Step = std::function<Task<>(std::size_t)>;
  Task<> for_each(std::vector<std::size_t> indices, Step step);

  std::unique_ptr<kube::Client> client_;
  KubernetesOptions options_;
  HashSource hash_;
  Logger log_;
};

}  // namespace opi::provision
