#pragma once
/// @file
/// One `git` child of a mirror, as data.

#include <cstddef>
#include <string>
#include <vector>

#include "git/mirror.hpp"

namespace opi::git {

/// Its arguments after `git`, and what it is to us.
struct Mirror::Run {
  std::string what;  ///< for messages: "reading the head of …"
  std::vector<std::string> arguments;
  bool network = false;       ///< it contacts the remote, with our credentials
  bool in_repository = true;  ///< it works in the mirror
  std::string input = {};
  std::size_t output_max = 1U << 20U;
};

}  // namespace opi::git
