#include "app/demo.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <utility>

#include "app/version.hpp"
#include "cli/command_session.hpp"
#include "cli/config.hpp"
#include "cli/deployments.hpp"
#include "cli/event_loop.hpp"
#include "cli/report_text.hpp"
#include "cli/serve.hpp"
#include "cli/steps.hpp"

namespace opi::cli {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr auto prepare_deadline = 60s;

Task<int> prepare(app::DemoOptions options, Result<app::Demo>* into) {
  *into = co_await app::prepare_demo(std::move(options), std::chrono::steady_clock::now() + prepare_deadline);
  co_return exit_done;
}

// As somebody in this folder would write it.
std::string shown(const fs::path& path) {
  std::error_code ec;
  const fs::path relative = fs::relative(path, fs::current_path(ec), ec);
  return ec || relative.empty() || *relative.begin() == ".." ? path.string() : relative.string();
}

std::string program() {
  std::error_code ec;
  const fs::path path = fs::read_symlink("/proc/self/exe", ec);
  const std::string text = shown(path);
  return text.starts_with('/') ? text : "./" + text;
}

// Options that the printed commands need when they are not the usual ones.
std::string config_option(const app::Demo& demo) {
  return shown(demo.configuration) == ".opi/opi.yaml" ? "" : " --config " + shown(demo.configuration);
}

void print_hints(const app::Demo& demo, const std::string& project, const std::string& deployment,
                 const std::string& serve_line) {
  const std::string checkout = shown(demo.checkout);
  if (!project.empty()) {
    std::cout << fmt::format("Connect:   {} psql{} {} {}\n", program(), config_option(demo), project, deployment);
  }
  std::cout << fmt::format(
      "Change:    edit {0}/projects/*.yaml, then git -C {0} commit -am 'A change' && git -C {0} push;\n"
      "           it is picked up within a second\n",
      checkout);
  std::cout << fmt::format("Cluster:   git -C {} log -p main          what Flux would apply, Secrets encrypted\n",
                           shown(demo.cluster));
  std::cout << serve_line << std::flush;
}

class DemoRun {
 public:
  DemoRun(const Arguments& arguments, const app::Environment& environment)
      : arguments_(arguments), environment_(environment), steps_(std::cout, is_terminal(STDOUT_FILENO)) {}

  int run() {
    if (environment_.find("OPI_TITLE_SHOWN") == environment_.end()) {
      std::cout << fmt::format("opi {} ({})  {}\n", app::version(), app::commit(), app::product_title);
    }
    steps_.begin("projects", shown(fs::absolute(arguments_.directory) / "projects.git"));
    Result<app::Demo> prepared = failure(ErrorKind::internal, "not prepared");
    {
      EventLoop loop;
      loop.run(prepare({.directory = arguments_.directory, .examples = arguments_.examples}, &prepared));
    }
    if (!prepared) {
      steps_.fail();
      std::cerr << "opi: " << prepared.error().to_string() << '\n';
      return exit_failed;
    }
    demo_ = std::move(*prepared);
    steps_.end(demo_.repository_made ? "made" : "there",
               fmt::format("{}, {} files at {}", shown(demo_.repository), demo_.files, demo_.head));
    auto settings = load_or_explain(demo_.configuration.string(), environment_, std::cerr);
    if (!settings) return exit_configuration;
    return arguments_.once ? once(std::move(*settings)) : serving(std::move(*settings));
  }

 private:
  int once(app::Settings settings) {
    steps_.begin("PostgreSQL", fmt::format("private, {}", shown(*settings.private_postgres.directory)));
    return run_session(
        std::move(settings), SessionNeeds::projects, [this](app::Services* services) { return provision(services); },
        [this] { steps_.fail(); });
  }

  Task<int> provision(app::Services* services) {
    steps_.end("ready", postgres_text(*services));
    std::cout << fmt::format("  {:<12} {}\n\n", "settings", shown(demo_.configuration)) << std::flush;
    auto report = co_await services->databases().apply({}, command_cause());
    if (!report) {
      std::cerr << "opi: " << report.error().to_string() << '\n';
      co_return exit_failed;
    }
    std::cout << report_text(*report, colours_wanted(STDOUT_FILENO)) << '\n';
    const auto good = std::ranges::find_if(report->deployments, [](const auto& row) {
      return row.outcome == provision::DeploymentOutcome::created ||
             row.outcome == provision::DeploymentOutcome::changed ||
             row.outcome == provision::DeploymentOutcome::unchanged;
    });
    const bool any = good != report->deployments.end();
    print_hints(demo_, any ? good->project : "", any ? good->deployment : "",
                fmt::format("Serve:     {} demo          then http://127.0.0.1:{}\n", program(), demo_.http_port));
    co_return report_exit_code(*report);
  }

  int serving(app::Settings settings) {
    std::ifstream configuration(demo_.configuration);
    std::cout << fmt::format("  {:<12} {}\n\n", "settings", shown(demo_.configuration));
    for (std::string line; std::getline(configuration, line);) std::cout << "    " << line << '\n';
    std::cout << std::endl;
    return serve(std::move(settings), [this](app::Application& application) {
      std::string project;
      std::string deployment;
      for (const auto& row : application.status().deployments) {
        if (row.state != "ready") continue;
        project = row.project;
        deployment = row.deployment;
        break;
      }
      std::cout << '\n';
      print_hints(demo_, project, deployment,
                  fmt::format("API:       http://127.0.0.1:{0}/api/v1/status, http://127.0.0.1:{0}/metrics, "
                              "http://127.0.0.1:{1}/readyz\n"
                              "Stop:      Ctrl-C\n\n",
                              application.http_port(), application.probes_port()));
    });
  }

  std::string postgres_text(app::Services& services) const {
    const auto* server = services.private_postgres();
    return fmt::format("{}, private, {}, port {}", server->version(),
                       shown(*services.settings().private_postgres.directory), demo_.postgres_port);
  }

  const Arguments& arguments_;
  const app::Environment& environment_;
  Steps steps_;
  app::Demo demo_;
};

}  // namespace

int run_demo(const Arguments& arguments, const app::Environment& environment) {
  return DemoRun(arguments, environment).run();
}

}  // namespace opi::cli
