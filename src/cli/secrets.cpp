#include "cli/secrets.hpp"

#include <fmt/format.h>

#include <chrono>
#include <iostream>

#include "cli/command_session.hpp"
#include "cli/config.hpp"
#include "cli/deployments.hpp"
#include "store/reseal.hpp"

namespace opi::cli {
namespace {

constexpr auto lease_deadline = std::chrono::seconds(30);

int complain(const Error& error) {
  std::cerr << "opi: " << error.to_string() << '\n';
  return exit_failed;
}

Task<int> reseal(app::Services* services, bool dry_run) {
  auto main = services->pools().get("main");
  if (!main) co_return complain(main.error());
  auto lease = co_await main->get().acquire(
      {.deadline = std::chrono::steady_clock::now() + lease_deadline, .task = "seal secrets anew"});
  if (!lease) co_return complain(lease.error().to_error());
  const auto report = co_await store::reseal(&**lease, &services->platform_key(), dry_run);
  if (!report) co_return complain(report.error());
  const std::string recipient = services->platform_key().recipient().to_string();
  for (const auto& [from, count] : report->resealed) {
    std::cout << fmt::format("{} from {}\n", count, from);
  }
  std::cout << fmt::format("{} sealed anew to {}, {} were already{}\n", report->total(), recipient, report->current,
                           dry_run ? "; nothing was written" : "");
  co_return exit_done;
}

Task<int> replace_key(app::Services* services, std::string project) {
  auto* cluster = services->cluster();
  if (cluster == nullptr) co_return complain(Error(ErrorKind::invalid, "cluster.target is none: no keys are kept"));
  const auto key =
      co_await cluster->replace_key(project, command_cause(), std::chrono::steady_clock::now() + lease_deadline);
  if (!key) co_return complain(key.error());
  std::cout << fmt::format("{}: {}; the next pass hands it out, the one before stays beside it for a while\n", project,
                           key->recipient);
  co_return exit_done;
}

}  // namespace

int run_secrets_replace_key(const Arguments& arguments, const app::Environment& environment) {
  auto settings = load_or_explain(arguments.config, environment, std::cerr);
  if (!settings) return exit_configuration;
  return run_session(std::move(*settings), SessionNeeds::projects,
                     [project = arguments.project](app::Services* services) { return replace_key(services, project); });
}

int run_secrets_reseal(const Arguments& arguments, const app::Environment& environment) {
  auto settings = load_or_explain(arguments.config, environment, std::cerr);
  if (!settings) return exit_configuration;
  return run_session(std::move(*settings), SessionNeeds::control,
                     [dry_run = arguments.dry_run](app::Services* services) { return reseal(services, dry_run); });
}

}  // namespace opi::cli
