#pragma once
/// @file
/// What this program is: version and commit, fixed when it was built.

#include <string_view>

namespace opi::app {

inline constexpr std::string_view product_title = "Operations Manager";

/// "0.1.0".
std::string_view version() noexcept;
/// Seven characters of the commit, or "unknown" for a build outside a checkout.
std::string_view commit() noexcept;

}  // namespace opi::app
