#pragma once
/// @file
/// Reads and validates project files of the 2025 layout and of the 2026 ones.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/result.hpp"
#include "project/model.hpp"

namespace opi::project {

/// Limits on hostile input.
struct ParseLimits {
  std::size_t bytes_max = 1U << 20U;
  std::size_t depth_max = 40;
  std::size_t nodes_max = 100'000;
  std::size_t aliases_max = 100;
  std::size_t errors_max = 100;  ///< per file; the last one then says that there are more
};

/// What the settings know and a file may refer to. Empty lists: not checked.
struct ParseContext {
  std::vector<std::string> known_clusters = {};
  std::vector<std::string> known_pools = {};
};

/// A project, or every error of the file in the order of their places. Pure; safe from any thread.
/// Every error has its Place and kind `invalid`; messages name fields and short plain values, never ciphertexts.
std::expected<Project, std::vector<Error>> parse_project(std::string_view yaml, std::string file,
                                                         const ParseContext& context = {},
                                                         const ParseLimits& limits = {});

}  // namespace opi::project
