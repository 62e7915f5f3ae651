#include "cli/deployments.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <utility>

#include "cli/config.hpp"
#include "cli/psql.hpp"
#include "cli/report_text.hpp"
#include "cli/steps.hpp"
#include "provision/database_manager.hpp"

namespace opi::cli {

namespace {

provision::Selection selection_of(const Arguments& arguments) {
  return {.project = arguments.project, .deployment = arguments.deployment};
}

/// Of whom nobody has heard, nothing is not the answer.
Error nothing_selected(const Arguments& arguments) {
  const auto name = arguments.deployment.empty() ? arguments.project : arguments.project + "/" + arguments.deployment;
  return Error(ErrorKind::not_found, name + ": is declared nowhere, and nothing of it is left")
      .with_remedy("opi plan, without a name, shows all there is");
}

int plan_exit_code(const provision::Plan& plan) {
  const auto counts = plan.counts();
  if (counts.refused != 0 || counts.waiting != 0) return exit_failed;
  return plan.empty() ? exit_done : exit_changes;
}

Task<int> plan(app::Services* services, Arguments arguments) {
  auto planned = co_await services->databases().plan(selection_of(arguments));
  if (!planned) co_return complain(planned.error());
  if (planned->deployments.empty() && planned->kept.empty() && !arguments.project.empty())
    co_return complain(nothing_selected(arguments));
  std::cout << (arguments.json ? to_json(*planned) : to_text(*planned));
  co_return plan_exit_code(*planned);
}

Task<int> apply(app::Services* services, Arguments arguments) {
  std::string digest;
  if (!arguments.digest.empty()) {
    auto parsed = provision::parse_digest(arguments.digest);
    if (!parsed) co_return complain(parsed.error());
    digest = *std::move(parsed);
  }
  auto report = co_await services->databases().apply(selection_of(arguments), command_cause(), {}, std::move(digest));
  if (!report) co_return complain(report.error());
  if (report->deployments.empty() && !arguments.project.empty()) co_return complain(nothing_selected(arguments));
  std::cout << (arguments.json ? report_json(*report) : report_text(*report, colours_wanted(STDOUT_FILENO)));
  co_return report_exit_code(*report);
}

Task<int> credentials(app::Services* services, Arguments arguments) {
  const auto purpose = arguments.read_only ? provision::LoginPurpose::read_only : provision::LoginPurpose::application;
  auto found = co_await services->databases().credentials(arguments.project, arguments.deployment, purpose);
  if (!found) co_return complain(found.error());
  const SecretString text = arguments.format == "env"    ? found->env()
                            : arguments.format == "json" ? found->json()
                                                         : found->uri();
  std::cout << text.reveal();
  if (!text.reveal().ends_with('\n')) std::cout << '\n';
  co_return exit_done;
}

Task<int> psql(app::Services* services, Arguments arguments) {
  auto found = co_await services->databases().credentials(arguments.project, arguments.deployment);
  if (!found) co_return complain(found.error());
  const PsqlTarget target{.host = found->host(),
                          .port = found->port(),
                          .database = found->database,
                          .user = found->user,
                          .password = std::move(found->password)};
  // On this thread: nothing else runs in this process meanwhile, and psql needs the terminal.
  auto code = run_psql(target, arguments.rest);
  if (!code) co_return complain(code.error());
  co_return *code;
}

}  // namespace

int with_session(const Arguments& arguments, const app::Environment& environment, SessionNeeds needs,
                 ServicesCommand command) {
  auto settings = load_or_explain(arguments.config, environment, std::cerr);
  if (!settings) return exit_configuration;
  return run_session(std::move(*settings), needs,
                     [arguments, command](app::Services* services) { return command(services, arguments); });
}

int complain(const Error& error) {
  std::cerr << "opi: " << error.to_string() << '\n';
  return exit_failed;
}

store::Cause command_cause() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  const char* user = ::getenv("USER");
  return {.kind = "command",
          .id = user != nullptr ? user : fmt::format("uid {}", ::getuid()),
          .replica = fmt::format("{}/{}", host.data(), ::getpid())};
}

int run_plan(const Arguments& arguments, const app::Environment& environment) {
  return with_session(arguments, environment, SessionNeeds::projects, plan);
}

int run_apply(const Arguments& arguments, const app::Environment& environment) {
  return with_session(arguments, environment, SessionNeeds::projects, apply);
}

int run_credentials(const Arguments& arguments, const app::Environment& environment) {
  return with_session(arguments, environment, SessionNeeds::control, credentials);
}

int run_psql_command(const Arguments& arguments, const app::Environment& environment) {
  return with_session(arguments, environment, SessionNeeds::control, psql);
}

}  // namespace opi::cli
