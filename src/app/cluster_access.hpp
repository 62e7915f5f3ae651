#pragma once
/// @file
/// From the settings to a cluster that can be worked with.

#include <memory>

#include "aio/blocking_pool.hpp"
#include "app/settings.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "provision/cluster_manager.hpp"
#include "secrets/platform_key.hpp"

namespace opi::app {

provision::ClusterRules cluster_rules(const Settings& settings);

/// The manager of the configured target; null when there is none. Nothing is contacted yet. `blocking`, `key` and what
/// `tools` names outlive it. Errors: a kubeconfig that cannot be used, a missing URL, not in a pod.
Result<std::unique_ptr<provision::ClusterManager>> make_cluster_manager(const Settings& settings,
                                                                        const provision::ProjectManager& projects,
                                                                        provision::DesiredRules desired,
                                                                        provision::ClusterTools tools,
                                                                        aio::BlockingPool& blocking);

}  // namespace opi::app
