#pragma once
/// @file
/// How a deployment stands in its table; shared by the files that read it.

#include <array>
#include <string>
#include <string_view>

#include "store/inventory.hpp"
#include "store/row_reader.hpp"

namespace opi::store {

inline constexpr std::array<std::string_view, 4> deployment_state_names{"wanted", "ready", "tombstone", "removing"};
inline constexpr std::array<std::string_view, 3> adoption_names{"none", "additive", "full"};

/// Columns of `opi.deployments d` with the pool of its server, in the order that read_deployment reads.
std::string deployment_columns();
DeploymentRecord read_deployment(RowReader* reader);

}  // namespace opi::store
