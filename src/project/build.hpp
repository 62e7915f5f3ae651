#pragma once
/// @file
/// From a tree to the typed project, as far as the tree is of its shape.

#include <string>

#include "project/model.hpp"
#include "project/shape.hpp"
#include "yaml/node.hpp"

namespace opi::project {

/// Reads what is there and of the right type and leaves out the rest; check() has reported it. Defaults are filled in:
/// the cluster when the project has exactly one, the namespace. Pure.
Project build_project(const yaml::Node& root, Layouts layout, std::string schema_version);

}  // namespace opi::project
