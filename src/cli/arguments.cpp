#include "cli/arguments.hpp"

#include <CLI/CLI.hpp>
#include <sstream>

#include "app/version.hpp"

namespace opi::cli {

namespace {

CLI::App* command(CLI::App& program, Arguments& arguments, const char* name, const char* about, Command which) {
  CLI::App* sub = program.add_subcommand(name, about);
  sub->callback([&arguments, which] { arguments.command = which; });
  return sub;
}

void add_config(CLI::App* sub, Arguments& arguments) {
  sub->add_option("-c,--config", arguments.config,
                  "configuration file (else OPI_CONFIG, ./opi.yaml, ./.opi/opi.yaml, /etc/opi/opi.yaml)")
      ->type_name("FILE");
}

void add_selection(CLI::App* sub, Arguments& arguments, bool required) {
  sub->add_option("project", arguments.project, "a project's name")->required(required)->type_name("PROJECT");
  sub->add_option("deployment", arguments.deployment, "one of its deployments")
      ->required(required)
      ->type_name("DEPLOYMENT");
}

void add_commands(CLI::App& program, Arguments& arguments) {
  auto* serve = command(program, arguments, "serve", "Run the daemon", Command::serve);
  add_config(serve, arguments);

  auto* demo = command(program, arguments, "demo", "Run the daemon on a private PostgreSQL and a local repository",
                       Command::demo);
  demo->add_flag("--once", arguments.once, "provision everything, print what stands, and end");
  demo->add_option("--directory", arguments.directory, "where the demo is kept")
      ->capture_default_str()
      ->type_name("DIR");
  demo->add_option("--examples", arguments.examples, "project files to begin with")->type_name("DIR");

  auto* plan = command(program, arguments, "plan",
                       "Print what would be changed (exit 0: nothing, 2: changes, 1: failed)", Command::plan);
  auto* apply = command(program, arguments, "apply", "Make true what the project files declare", Command::apply);
  for (auto* sub : {plan, apply}) {
    add_config(sub, arguments);
    add_selection(sub, arguments, false);
    sub->add_flag("--json", arguments.json, "print JSON");
  }

  auto* credentials =
      command(program, arguments, "credentials", "Print how an application connects", Command::credentials);
  add_config(credentials, arguments);
  add_selection(credentials, arguments, true);
  credentials->add_option("--format", arguments.format, "uri, env or json")
      ->default_val("uri")
      ->check(CLI::IsMember({"uri", "env", "json"}));

  auto* psql = command(program, arguments, "psql", "Open psql as the application of a deployment", Command::psql);
  add_config(psql, arguments);
  add_selection(psql, arguments, true);
  psql->add_option("arguments", arguments.rest, "given to psql as they are, after --")->type_name("ARGS");

  auto* validate = command(program, arguments, "validate", "Check project files", Command::validate);
  validate->add_option("files", arguments.rest, "project files")->required()->type_name("FILE");
  validate->add_flag("--json", arguments.json, "print JSON");

  command(program, arguments, "schema", "Print the JSON Schema of project files", Command::schema);

  auto* config = program.add_subcommand("config", "Look at the configuration");
  config->require_subcommand(1);
  auto* check = command(*config, arguments, "check", "Say everything that is wrong with it", Command::config_check);
  auto* show = command(*config, arguments, "show", "Print every value and where it comes from; secrets masked",
                       Command::config_show);
  command(*config, arguments, "manual", "Print docs/configuration.md: every field, from the table it is read by",
          Command::config_manual);
  add_config(check, arguments);
  add_config(show, arguments);
  show->add_flag("--json", arguments.json, "print JSON");
}

}  // namespace

std::expected<Arguments, Leave> parse_arguments(int argc, const char* const* argv) {
  Arguments arguments;
  CLI::App program{std::string(app::product_title) + ": makes true what project files in Git declare", "opi"};
  program.set_version_flag("--version",
                           std::string("opi ") + std::string(app::version()) + " (" + std::string(app::commit()) + ")");
  program.require_subcommand(1);
  add_commands(program, arguments);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = program.exit(problem, out, err);
    if (code == 0) return std::unexpected(Leave{exit_done, out.str()});
    return std::unexpected(Leave{exit_usage, "opi: " + std::string(problem.what()) + "; opi --help says more\n"});
  }
  return arguments;
}

}  // namespace opi::cli
