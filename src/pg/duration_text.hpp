#pragma once
/// @file
/// A duration as people read it.

#include <chrono>
#include <string>

namespace opi::pg {

/// "28.4 s" from one second on, "11.9 ms" below.
std::string duration_text(std::chrono::nanoseconds duration);

}  // namespace opi::pg
