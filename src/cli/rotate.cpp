#include "cli/rotate.hpp"

#include <unistd.h>

#include <iostream>
#include <utility>

#include "cli/command_session.hpp"
#include "cli/config.hpp"
#include "cli/deployments.hpp"
#include "cli/report_text.hpp"
#include "cli/steps.hpp"

namespace opi::cli {

namespace {

Task<int> rotate(app::Services* services, Arguments arguments) {
  const auto pace = arguments.immediately ? provision::RotationPace::immediately : provision::RotationPace::seamless;
  auto report = co_await services->databases().rotate(
      {.project = arguments.project, .deployment = arguments.deployment}, command_cause(), pace);
  if (!report) {
    std::cerr << "opi: " << report.error().to_string() << '\n';
    co_return exit_failed;
  }
  std::cout << (arguments.json ? report_json(*report) : report_text(*report, colours_wanted(STDOUT_FILENO)));
  co_return report_exit_code(*report);
}

}  // namespace

int run_rotate(const Arguments& arguments, const app::Environment& environment) {
  auto settings = load_or_explain(arguments.config, environment, std::cerr);
  if (!settings) return exit_configuration;
  return run_session(std::move(*settings), SessionNeeds::projects,
                     [arguments](app::Services* services) { return rotate(services, arguments); });
}

}  // namespace opi::cli
