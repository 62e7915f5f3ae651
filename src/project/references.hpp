#pragma once
/// @file
/// What a shape cannot say: names that must be unique, and references that must lead somewhere.

#include "project/model.hpp"
#include "project/parser.hpp"
#include "project/shape.hpp"
#include "yaml/node.hpp"
#include "yaml/problems.hpp"

namespace opi::project {

/// Reports a mistyped age key, every duplicate name, dangling reference, unknown cluster or pool, wrong namespace and
/// colliding or overlong database name. Works on projects that failed check(), too: what is missing there is not
/// reported again.
void check_references(const Project& project, const yaml::Node& root, Layouts layout, const ParseContext& context,
                      yaml::Problems& problems);

}  // namespace opi::project
