#pragma once
/// @file
/// A pass's report as a person reads it, and as a program does.

#include <string>

#include "provision/deployment_report.hpp"

namespace opi::cli {

/// A table (project, deployment, namespace, database, state, time), then one line of reason for each row that did not
/// go well, then a summary line. Columns are as wide as their widest cell; a terminal's control characters in names
/// cannot occur.
std::string report_text(const provision::ApplyReport& report, bool colour);

/// {"deployments": [{project, deployment, namespace, database, state, duration_ms, actions, error?, notes?}…], "ready",
/// "unchanged", "failed", "duration_ms"}.
std::string report_json(const provision::ApplyReport& report);

/// Exit code of a command that made this report: 0, or 1 when something failed, was refused or waits.
int report_exit_code(const provision::ApplyReport& report);

}  // namespace opi::cli
