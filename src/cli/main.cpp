// The program `opi`: one command, one exit code.
#include <iostream>

#include "cli/adopt.hpp"
#include "cli/arguments.hpp"
#include "cli/config.hpp"
#include "cli/deployments.hpp"
#include "cli/history.hpp"
#include "cli/removals.hpp"
#include "cli/repositories.hpp"
#include "cli/rotate.hpp"
#include "cli/schema.hpp"
#include "cli/secrets.hpp"
#include "cli/serve.hpp"
#include "cli/validate.hpp"

namespace {

using opi::cli::Arguments;
using opi::cli::Command;

int run(const Arguments& arguments) {
  const auto environment = opi::app::process_environment();
  switch (arguments.command) {
    case Command::serve: return opi::cli::run_serve(arguments.config, environment);
    case Command::demo: return opi::cli::run_demo(arguments, environment);
    case Command::plan: return opi::cli::run_plan(arguments, environment);
    case Command::apply: return opi::cli::run_apply(arguments, environment);
    case Command::adopt: return opi::cli::run_adopt(arguments, environment);
    case Command::history: return opi::cli::run_history(arguments, environment);
    case Command::rotate: return opi::cli::run_rotate(arguments, environment);
    case Command::removals:
    case Command::removals_confirm:
    case Command::removals_namespace:
    case Command::removals_keep: return opi::cli::run_removals(arguments, environment);
    case Command::credentials: return opi::cli::run_credentials(arguments, environment);
    case Command::psql: return opi::cli::run_psql_command(arguments, environment);
    case Command::validate:
      return opi::cli::run_validate({.files = arguments.rest, .json = arguments.json}, std::cout, std::cerr);
    case Command::schema: return opi::cli::run_schema(std::cout);
    case Command::config_check: return opi::cli::run_config_check(arguments.config, environment, std::cout, std::cerr);
    case Command::config_show:
      return opi::cli::run_config_show(arguments.config, arguments.json, environment, std::cout, std::cerr);
    case Command::config_manual: return opi::cli::run_config_manual(std::cout);
    case Command::age_keygen: return opi::cli::run_age_keygen(arguments.age);
    case Command::age_encrypt: return opi::cli::run_age_encrypt(arguments.age);
    case Command::age_decrypt: return opi::cli::run_age_decrypt(arguments.age);
    case Command::sops_encrypt: return opi::cli::run_sops_encrypt(arguments.sops, environment);
    case Command::sops_decrypt: return opi::cli::run_sops_decrypt(arguments.sops, environment);
    case Command::sops_edit: return opi::cli::run_sops_edit(arguments.sops, environment);
    case Command::sops_updatekeys: return opi::cli::run_sops_updatekeys(arguments.sops, environment);
    case Command::repositories:
    case Command::suspend:
    case Command::resume:
    case Command::reconcile: return opi::cli::run_repositories(arguments, environment);
    case Command::secrets_replace_key: return opi::cli::run_secrets_replace_key(arguments, environment);
    case Command::secrets_reseal: return opi::cli::run_secrets_reseal(arguments, environment);
  }
  return opi::cli::exit_usage;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto arguments = opi::cli::parse_arguments(argc, argv);
    if (arguments) return run(*arguments);
    (arguments.error().code == 0 ? std::cout : std::cerr) << arguments.error().text;
    return arguments.error().code;
  } catch (const std::exception& problem) {
    std::cerr << "opi: internal error: " << problem.what() << '\n';
    return opi::cli::exit_failed;
  }
}
