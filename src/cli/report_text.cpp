#include "cli/report_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <string_view>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/steps.hpp"

namespace opi::cli {

namespace {

using provision::DeploymentOutcome;

constexpr std::size_t columns = 6;
using Cells = std::array<std::string, columns>;

std::string_view colour_of(DeploymentOutcome outcome) {
  switch (outcome) {
    case DeploymentOutcome::created:
    case DeploymentOutcome::changed: return "\x1b[32m";
    case DeploymentOutcome::failed:
    case DeploymentOutcome::refused: return "\x1b[31m";
    case DeploymentOutcome::waiting:
    case DeploymentOutcome::disabled:
    case DeploymentOutcome::removed: return "\x1b[33m";
    case DeploymentOutcome::unchanged:
    case DeploymentOutcome::kept: return "\x1b[2m";
  }
  return "";
}

std::size_t ready(const provision::ApplyReport& report) {
  return report.count(DeploymentOutcome::created) + report.count(DeploymentOutcome::changed) +
         report.count(DeploymentOutcome::unchanged);
}

std::size_t failed(const provision::ApplyReport& report) {
  return report.count(DeploymentOutcome::failed) + report.count(DeploymentOutcome::refused) +
         report.count(DeploymentOutcome::waiting);
}

}  // namespace

std::string report_text(const provision::ApplyReport& report, bool colour) {
  std::vector<Cells> rows{{"PROJECT", "DEPLOYMENT", "NAMESPACE", "DATABASE", "STATE", "TIME"}};
  for (const auto& row : report.deployments) {
    rows.push_back({row.project, row.deployment, row.namespace_, row.database, std::string(to_string(row.outcome)),
                    duration_text(row.duration)});
  }
  std::array<std::size_t, columns> widths{};
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < columns; ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (std::size_t line = 0; line < rows.size(); ++line) {
    const auto& row = rows[line];
    for (std::size_t i = 0; i < columns; ++i) {
      const bool last = i + 1 == columns;
      const bool state = i == 4 && line > 0 && colour;
      if (state) text += colour_of(report.deployments[line - 1].outcome);
      text += last ? fmt::format("{:>{}}", row[i], widths[i]) : fmt::format("{:<{}}", row[i], widths[i]);
      if (state) text += "\x1b[0m";
      text += last ? "\n" : "  ";
    }
  }
  for (const auto& row : report.deployments) {
    if (row.error) text += fmt::format("{}: {}\n", row.title(), row.error->to_string());
    for (const auto& note : row.notes) text += fmt::format("{}: {}\n", row.title(), note);
  }
  text += fmt::format("\n{} {} ready, {} unchanged, {} failed, in {:.1f} s\n", ready(report),
                      ready(report) == 1 ? "deployment" : "deployments", report.count(DeploymentOutcome::unchanged),
                      failed(report), std::chrono::duration<double>(report.duration).count());
  return text;
}

std::string report_json(const provision::ApplyReport& report) {
  const auto milliseconds = [](std::chrono::microseconds duration) {
    return static_cast<double>(duration.count()) / 1'000;
  };
  boost::json::array deployments;
  for (const auto& row : report.deployments) {
    boost::json::object one{{"project", row.project},          {"deployment", row.deployment},
                            {"namespace", row.namespace_},     {"database", row.database},
                            {"state", to_string(row.outcome)}, {"duration_ms", milliseconds(row.duration)},
                            {"actions", row.actions}};
    if (row.error) one["error"] = row.error->to_string();
    if (!row.notes.empty()) one["notes"] = boost::json::array(row.notes.begin(), row.notes.end());
    deployments.push_back(std::move(one));
  }
  return boost::json::serialize(boost::json::object{{"deployments", std::move(deployments)},
                                                    {"ready", ready(report)},
                                                    {"unchanged", report.count(DeploymentOutcome::unchanged)},
                                                    {"failed", failed(report)},
                                                    {"duration_ms", milliseconds(report.duration)}}) +
         "\n";
}

int report_exit_code(const provision::ApplyReport& report) {
  return report.succeeded() ? exit_done : exit_failed;
}

}  // namespace opi::cli
