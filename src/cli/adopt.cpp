#include "cli/adopt.hpp"

#include <unistd.h>

#include <iostream>
#include <utility>

#include "app/file_text.hpp"
#include "cli/deployments.hpp"
#include "cli/report_text.hpp"
#include "cli/steps.hpp"
#include "provision/database_manager.hpp"

namespace opi::cli {

namespace {

constexpr std::size_t secret_file_max = 64U << 10U;

Task<int> adopt(app::Services* services, Arguments arguments) {
  std::optional<SecretString> password;
  if (!arguments.secret.empty()) {
    auto text = app::read_small_file(arguments.secret, secret_file_max);
    if (!text) co_return complain(std::move(text.error()).while_doing(arguments.secret));
    auto given = provision::password_from_secret(*text, arguments.secret);
    if (!given) co_return complain(given.error());
    password = *std::move(given);
  }
  auto& databases = services->databases();
  if (!arguments.additive && !arguments.full) {
    auto report = co_await databases.adopt_report(arguments.project, arguments.deployment, password.has_value());
    if (!report) co_return complain(report.error());
    std::cout << (arguments.json ? to_json(*report) : to_text(*report));
    co_return report->additive.actions.empty() && report->full.actions.empty() ? exit_done : exit_changes;
  }
  provision::AdoptOrder order{.how_far = arguments.full ? store::Adoption::full : store::Adoption::additive,
                              .password = std::move(password)};
  auto row = co_await databases.adopt(arguments.project, arguments.deployment, std::move(order), command_cause());
  if (!row) co_return complain(row.error());
  provision::ApplyReport report{.deployments = {*row}, .duration = row->duration};
  std::cout << (arguments.json ? report_json(report) : report_text(report, colours_wanted(STDOUT_FILENO)));
  co_return report_exit_code(report);
}

}  // namespace

int run_adopt(const Arguments& arguments, const app::Environment& environment) {
  return with_session(arguments, environment, SessionNeeds::projects, adopt);
}

}  // namespace opi::cli
