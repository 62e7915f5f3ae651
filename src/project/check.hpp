#pragma once
/// @file
/// A tree against a shape.

#include <string>
#include <string_view>

#include "project/shape.hpp"
#include "yaml/node.hpp"
#include "yaml/problems.hpp"

namespace opi::project {

/// Reports to `problems` everything in which `node` is not of the shape. A null value of an optional field is as good
/// as none. Values of secret formats are never shown. Pure but for `problems`.
void check(const Shape& shape, const yaml::Node& node, const std::string& path, Layouts layout,
           yaml::Problems& problems);

/// The name of a service in an entry of a list of services, in any of its three forms; nullptr when it has none.
const yaml::Node* service_name_of(const yaml::Node& entry);
/// The config of the entry; nullptr when it has none.
const yaml::Node* service_config_of(const yaml::Node& entry);

/// "the layout of 2025", "schema-version 1", "schema-version 2".
std::string_view name_of_layout(Layouts layout);

}  // namespace opi::project
