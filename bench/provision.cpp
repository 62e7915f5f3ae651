// opi-bench provision: what a deployment costs, beside the bare SQL of the same statements on as many connections.
#include <libpq-fe.h>

#include <array>
#include <charconv>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>

#include "bench/provision_estate.hpp"
#include "bench/server.hpp"
#include "bench/subcommands.hpp"

namespace opi::bench {
namespace {

std::optional<ProvisionRun> parse(Arguments arguments) {
  ProvisionRun run;
  const auto number = [](std::string_view text) -> int {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() && value > 0 && value <= 100'000 ? value : 0;
  };
  if (arguments.empty() || (run.deployments = number(arguments[0])) == 0) return {};
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i] == "--parallel" && i + 1 < arguments.size()) {
      if ((run.parallel = number(arguments[++i])) == 0) return {};
    } else if (arguments[i] == "--catalogue") {
      run.catalogue = true;
    } else if (arguments[i] == "--no-bare") {
      run.bare = false;
    } else {
      return {};
    }
  }
  return run;
}

void print(std::string_view what, const ProvisionRun& run, const PassCost& cost, double bare_seconds = 0) {
  JsonLine line;
  line.add("what", what)
      .add("deployments", std::int64_t{run.deployments})
      .add("parallel", std::int64_t{run.parallel})
      .add("seconds", cost.seconds)
      .add("ms_deployment", cost.seconds * 1e3 / run.deployments)
      .add("cpu_seconds", cost.cpu_seconds)
      .add("statements", static_cast<std::int64_t>(cost.statements))
      .add("connections", static_cast<std::int64_t>(cost.connections))
      .add("changed", static_cast<std::int64_t>(cost.changed))
      .add("rss_mb", resident_mb());
  if (bare_seconds > 0) line.add("bare_seconds", bare_seconds).add("to_bare", cost.seconds / bare_seconds);
  line.print();
}

/// Plain libpq, one session at a time; ends the program's measurement with what the server says.
class BareSession {
 public:
  BareSession(const pg::ServerSettings& server, const std::string& database) {
    const auto port = std::to_string(server.hosts.front().port);
    const auto password = server.password ? std::string(server.password()->reveal()) : std::string();
    const std::array<const char*, 6> names = {"host", "port", "user", "password", "dbname", nullptr};
    const std::array<const char*, 6> values = {server.hosts.front().host.c_str(),
                                               port.c_str(),
                                               server.user.c_str(),
                                               password.c_str(),
                                               database.c_str(),
                                               nullptr};
    connection_.reset(PQconnectdbParams(names.data(), values.data(), 0));
    if (PQstatus(connection_.get()) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(connection_.get()));
    PQsetNoticeProcessor(connection_.get(), [](void*, const char*) {}, nullptr);
  }
  void run(const std::string& sql) {
    const std::unique_ptr<PGresult, void (*)(PGresult*)> result(PQexec(connection_.get(), sql.c_str()), &PQclear);
    const auto status = PQresultStatus(result.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
      throw std::runtime_error(std::string(PQresultErrorMessage(result.get())) + sql);
  }

 private:
  std::unique_ptr<PGconn, void (*)(PGconn*)> connection_{nullptr, &PQfinish};
};

/// The full statement list of each deployment, in the same transactions, on `parallel` sessions and one short one into
/// each new database.
double bare(const ProvisionRun& run, const pg::ServerSettings& server) {
  std::vector<BareDeployment> all;
  for (int i = 0; i < run.deployments; ++i) all.push_back(bare_deployment(i, server.user));
  const Stopwatch watch;
  std::vector<std::jthread> threads;
  std::exception_ptr failed;
  for (int lane = 0; lane < run.parallel; ++lane) {
    threads.emplace_back([&, lane] {
      try {
        BareSession session(server, "postgres");
        for (auto i = static_cast<std::size_t>(lane); i < all.size(); i += static_cast<std::size_t>(run.parallel)) {
          session.run(all[i].roles);
          session.run(all[i].create_database);
          session.run(all[i].database);
          {
            BareSession inside(server, all[i].name);
            inside.run(all[i].inside);
          }
          session.run(all[i].logins);
        }
      } catch (...) {
        failed = std::current_exception();
      }
    });
  }
  threads.clear();
  if (failed) std::rethrow_exception(failed);
  return watch.wall_seconds();
}

int measure(const ProvisionRun& run) {
  const auto server = server_from_environment();
  ProvisionEstate estate(run, server);
  // One alone, before there are others.
  estate.declare(1);
  estate.pass();
  ProvisionRun single = run;
  single.deployments = 1;
  for (int round = 0; round < 3; ++round) {
    estate.change_first();
    print("one changed alone", single, estate.pass());
  }
  if (run.catalogue) {
    estate.fill_catalogue();
  } else {
    estate.declare(run.deployments);
    const auto created = estate.pass();
    print("create", run, created, run.bare ? bare(run, server) * (run.deployments - 1) / run.deployments : 0);
  }
  print("nothing to do, first pass of a process", run, estate.fresh_pass());
  for (int round = 0; round < 3; ++round) {
    print("nothing to do, all files parsed", run, estate.pass());
    print("nothing to do, no file changed", run, estate.pass_of_known());
  }
  estate.change_first();
  print("one changed, everything looked at", run, estate.pass());
  for (int round = 0; round < 3; ++round) {
    estate.change_first();
    print("one changed, its file looked at", run, estate.pass_of_first());
  }
  return 0;
}

}  // namespace

int provision(Arguments arguments) {
  const auto run = parse(arguments);
  if (!run) return exit_usage;
  return measure(*run);
}

}  // namespace opi::bench
