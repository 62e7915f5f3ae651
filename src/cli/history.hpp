#pragma once
/// @file
/// `opi history`: what was done for a project, by whom, and how it ended.

#include <string>
#include <vector>

#include "app/settings_loader.hpp"
#include "cli/arguments.hpp"
#include "store/history.hpp"

namespace opi::cli {

/// A table, newest first, each entry with its statement; ends with a line break. Pure.
std::string history_text(const std::vector<store::HistoryRecord>& records);
/// {"history": […]}; times in UTC (ISO 8601), durations in microseconds. Pure.
std::string history_json(const std::vector<store::HistoryRecord>& records);

/// 0, or 1 when the control database cannot be read.
int run_history(const Arguments& arguments, const app::Environment& environment);

}  // namespace opi::cli
