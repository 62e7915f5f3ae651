#pragma once
/// @file
/// Deadlines of tests, as seen from now.

#include <chrono>

#include "base/clock.hpp"

namespace opi::test {

inline SteadyTime in(std::chrono::milliseconds duration) {
  return steady_now() + duration;
}

}  // namespace opi::test
