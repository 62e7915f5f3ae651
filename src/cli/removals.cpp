#include "cli/removals.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <iostream>
#include <utility>

#include "cli/command_session.hpp"
#include "cli/config.hpp"
#include "cli/deployments.hpp"

namespace opi::cli {

namespace {

std::string_view step_text(provision::RemovalStep step) {
  switch (step) {
    case provision::RemovalStep::keep: return "kept";
    case provision::RemovalStep::hold: return "held";
    case provision::RemovalStep::rest: return "disabled";
    case provision::RemovalStep::bury: return "to disable";
    case provision::RemovalStep::remove: return "to remove";
  }
  return "?";
}

int complain(const Error& error) {
  std::cerr << "opi: " << error.to_string() << '\n';
  return exit_failed;
}

std::string rows_json(const std::vector<provision::UndeclaredDeployment>& rows) {
  boost::json::array all;
  for (const auto& row : rows) {
    boost::json::object one{{"project", row.project}, {"deployment", row.deployment},  {"database", row.database},
                            {"pool", row.pool},       {"state", to_string(row.state)}, {"step", step_text(row.step)},
                            {"reason", row.reason}};
    if (row.remove_after) one["remove_after"] = std::chrono::system_clock::to_time_t(*row.remove_after);
    all.push_back(std::move(one));
  }
  return boost::json::serialize(all) + "\n";
}

Task<int> list(app::Services* services, Arguments arguments) {
  auto rows = co_await services->databases().undeclared();
  if (!rows) co_return complain(rows.error());
  if (arguments.json) {
    std::cout << rows_json(*rows);
    co_return exit_done;
  }
  for (const auto& row : *rows)
    std::cout << fmt::format("{:<24} {:<10} {}\n", row.title(), step_text(row.step), row.reason);
  if (rows->empty()) std::cout << "everything that was made is declared\n";
  co_return exit_done;
}

Task<int> decide(app::Services* services, Arguments arguments) {
  auto& databases = services->databases();
  provision::Selection selection{.project = arguments.project, .deployment = arguments.deployment};
  const bool keep = arguments.command == Command::removals_keep;
  auto done = keep ? co_await databases.keep_undeclared(std::move(selection), command_cause())
                   : co_await databases.confirm_removal(std::move(selection), command_cause(), arguments.now);
  if (!done) co_return complain(done.error());
  std::cout << fmt::format("{}: {}\n", keep ? "kept" : "confirmed", fmt::join(*done, ", "));
  if (!keep) std::cout << "the next pass acts on it; at once: opi apply\n";
  co_return exit_done;
}

Task<int> let_namespace_go(app::Services* services, Arguments arguments) {
  auto* cluster = services->cluster();
  if (cluster == nullptr) co_return complain(Error(ErrorKind::invalid, "cluster.target is none: there is no cluster"));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  auto done = co_await cluster->let_namespace_go(arguments.project, command_cause(), deadline);
  if (!done) co_return complain(done.error());
  std::cout << fmt::format("{}: goes with the next pass; at once: opi apply\n", arguments.project);
  co_return exit_done;
}

}  // namespace

int run_removals(const Arguments& arguments, const app::Environment& environment) {
  auto settings = load_or_explain(arguments.config, environment, std::cerr);
  if (!settings) return exit_configuration;
  return run_session(std::move(*settings), SessionNeeds::projects, [arguments](app::Services* services) {
    if (arguments.command == Command::removals_namespace) return let_namespace_go(services, arguments);
    return arguments.command == Command::removals ? list(services, arguments) : decide(services, arguments);
  });
}

}  // namespace opi::cli
