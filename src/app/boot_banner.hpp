#pragma once
/// @file
/// The boot banner: what has started, when, and in which shape.

#include <ostream>
#include <string>
#include <vector>

#include "base/clock.hpp"

namespace opi::app {

/// What the banner says.
struct BootBanner {
  std::string environment;
  WallTime boot_time;
  bool git_monitoring = false;
  std::vector<std::string> pools;
};

/// The banner as lines without newlines: a title framed by rules, then version, commit, boot time (ISO 8601, UTC),
/// environment, Git monitoring on or off, pools.
std::vector<std::string> boot_banner_lines(const BootBanner& banner);

/// Prints it.
void print_boot_banner(std::ostream& out, const BootBanner& banner);

/// "2026-11-24T01:20:10Z".
std::string iso_utc(WallTime time);

}  // namespace opi::app
