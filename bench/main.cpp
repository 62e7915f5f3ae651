// Runs one benchmark: opi-bench SUBCOMMAND ARGUMENTS…
#include <array>
#include <csignal>
#include <exception>
#include <iostream>
#include <vector>

#include "bench/subcommands.hpp"

namespace {

struct Subcommand {
  std::string_view name;
  std::string_view usage;
  int (*run)(opi::bench::Arguments);
};

constexpr std::array subcommands = {
    Subcommand{.name = "cluster",
               .usage = "kubernetes N | gitops N   namespaces with two Secrets each, from nothing and unchanged",
               .run = &opi::bench::cluster},
    Subcommand{.name = "git", .usage = "idle CHECKS | change FILES ROUNDS", .run = &opi::bench::git},
    Subcommand{.name = "pool",
               .usage = "MODE TASKS POOL SECONDS   query, execute, bare, floor, floor-pipeline; PG* say where",
               .run = &opi::bench::pool},
    Subcommand{.name = "secrets",
               .usage = "[MEGABYTES [ROUNDS]]   age on a large file beside the program age; 1 000 SOPS files",
               .run = &opi::bench::secrets_and_files},
    Subcommand{
        .name = "provision",
        .usage = "N [--parallel P] [--no-bare] [--catalogue]   on a throw-away server, as superuser; PG* say where",
        .run = &opi::bench::provision},
};

int usage() {
  std::cerr << "usage:\n";
  for (const Subcommand& subcommand : subcommands) {
    std::cerr << "  opi-bench " << subcommand.name << ' ' << subcommand.usage << '\n';
  }
  return opi::bench::exit_usage;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a peer that goes away is an error value
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  if (arguments.empty()) return usage();
  try {
    for (const Subcommand& subcommand : subcommands) {
      if (subcommand.name != arguments.front()) continue;
      const int code = subcommand.run(opi::bench::Arguments(arguments).subspan(1));
      return code == opi::bench::exit_usage ? usage() : code;
    }
  } catch (const std::exception& problem) {
    std::cerr << "opi-bench: " << problem.what() << '\n';
    return 1;
  }
  return usage();
}
