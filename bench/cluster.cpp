// opi-bench cluster: what namespaces, keys and credential Secrets cost on either target, from nothing and with nothing
// to do. The API server is the tests' own, in this process: its time is in the figures.
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <stdexcept>

#include "aio/subprocess.hpp"
#include "bench/await.hpp"
#include "bench/measurement.hpp"
#include "bench/subcommands.hpp"
#include "bench/temporary_folder.hpp"
#include "provision/gitops_target.hpp"
#include "provision/kubernetes_target.hpp"
#include "support/kubernetes/api_server.hpp"

namespace opi::bench {
namespace {

using namespace std::chrono_literals;
using provision::ClusterWrite;
using provision::LookedAt;

SteadyTime soon() {
  return std::chrono::steady_clock::now() + 10min;
}

/// One project with one deployment.
struct Tenant {
  provision::DesiredNamespace name_space;
  secrets::AgeIdentity identity = secrets::AgeIdentity::generate();
  provision::Credentials credentials;
  std::vector<store::ProjectKey> keys;
};

/// Everything that is wanted, and what is known of it after the first pass.
class Estate {
 public:
  explicit Estate(int count) {
    for (int i = 0; i < count; ++i) {
      const auto project = fmt::format("bench-{}", i);
      Tenant one;
      one.name_space = {.name = "rig-" + project, .project = project, .deployments = {"prod"}};
      one.credentials = {.project = project, .deployment = "prod", .hosts = {{"db.example.org", 5432}}};
      one.credentials.database = one.credentials.schema = fmt::format("bench_{}_prod", i);
      one.credentials.schemas = {one.credentials.schema};
      one.credentials.user = one.credentials.schema + "_a";
      one.credentials.password = SecretString("correct horse battery staple " + std::to_string(i));
      one.keys = {{.project = project, .recipient = one.identity.recipient().to_string(), .current = true}};
      tenants_.push_back(std::move(one));
    }
  }

  /// As a pass makes them.
  std::vector<ClusterWrite> writes() const {
    std::vector<ClusterWrite> all;
    for (const auto& one : tenants_) {
      for (auto& object : provision::namespace_objects(one.name_space, rules_))
        all.push_back({.object = std::move(object)});
      std::vector<SecretString> opened;
      opened.push_back(one.identity.to_key_file("2026-01-01T00:00:00Z"));
      secret(all, provision::key_object(one.name_space, one.keys), provision::key_data(one.keys, opened), one);
      secret(all,
             provision::credentials_object(one.name_space.name, one.credentials, 1, rules_, one.keys.front().recipient),
             provision::credentials_data(one.credentials, rules_), one);
    }
    for (auto& write : all) write.force = true;
    return all;
  }
  const secrets::KeyedHash* hash() const { return &hash_; }

 private:
  void secret(std::vector<ClusterWrite>& all, provision::DesiredObject object, provision::SecretData data,
              const Tenant& of) const {
    ClusterWrite write{.object = std::move(object)};
    write.content_hash = provision::content_hash(hash_, data);
    write.data = std::move(data);
    write.recipients = {of.identity.recipient()};
    all.push_back(std::move(write));
  }

  provision::ClusterRules rules_;
  secrets::KeyedHash hash_ = *secrets::KeyedHash::create(SecretString(std::string(32, 'k')));
  std::vector<Tenant> tenants_;
};

struct Pass {
  std::size_t objects = 0;
  std::size_t different = 0;  ///< not as they should be when they were looked at
};

/// Looks at everything and writes what is not there; `known` is what was recorded of the pass before, and is recorded.
Task<Pass> pass(provision::ClusterTarget* target, const Estate* estate, std::vector<store::ClusterObjectRow>* known) {
  auto writes = estate->writes();
  std::vector<LookedAt> looked;
  for (std::size_t i = 0; i < writes.size(); ++i)
    looked.push_back({.object = &writes[i].object, .known = known->empty() ? nullptr : &(*known)[i]});
  auto observed = co_await target->observe(std::move(looked), soon());
  if (!observed) throw std::runtime_error(observed.error().to_string());
  Pass done{.objects = writes.size()};
  for (const auto& one : *observed) done.different += one.presence == provision::Presence::same ? 0U : 1U;
  if (done.different == 0) co_return done;
  std::vector<store::ClusterObjectRow> rows;
  for (const auto& write : writes) {
    store::ClusterObjectRow row{.kind = std::string(write.object.kind.kind), .name = write.object.name};
    row.content_hash = write.content_hash;
    rows.push_back(std::move(row));
  }
  auto written = co_await target->write(std::move(writes), "bench\n", soon());
  for (std::size_t i = 0; i < written.size(); ++i) {
    if (!written[i]) throw std::runtime_error(written[i].error().to_string());
    rows[i].version = written[i]->version;
  }
  *known = std::move(rows);
  co_return done;
}

void on_kubernetes(int count) {
  const Estate estate(count);
  aio::BlockingPool blocking(2);
  asio::io_context context;
  test::ApiServer server(context);
  kube::ClusterAccess access{.server = {.host = "127.0.0.1", .port = server.port(), .tls = false},
                             .credentials = kube::fixed_credential({})};
  auto client = std::make_unique<kube::Client>(std::move(access), kube::ClientOptions{.requests_per_second = 0},
                                               blocking, Logger{});
  provision::KubernetesTarget target(std::move(client), {}, [&estate] { return estate.hash(); }, Logger{});
  std::vector<store::ClusterObjectRow> known;
  for (const std::string_view what : {"from nothing", "nothing to do"}) {
    const Stopwatch watch;
    const auto before = target.stats();
    const auto done = await(context, pass(&target, &estate, &known));
    const auto after = target.stats();
    JsonLine()
        .add("target", "kubernetes")
        .add("what", what)
        .add("namespaces", std::int64_t{count})
        .add("objects", static_cast<std::int64_t>(done.objects))
        .add("seconds", watch.wall_seconds())
        .add("cpu_seconds", watch.cpu_seconds())
        .add("requests", static_cast<std::int64_t>(after.requests - before.requests))
        .add("writes", static_cast<std::int64_t>(after.writes - before.writes))
        .add("connections", static_cast<std::int64_t>(server.connections()))
        .add("rss_mb", resident_mb())
        .print();
  }
}

Task<int> make_repository(std::string path) {
  auto ended = co_await aio::run_command(
      {.argv = {"git", "init", "--quiet", "--bare", "--initial-branch=main", "--", std::move(path)},
       .environment = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1"}},
      soon());
  co_return ended ? ended->exit_code : -1;
}

void on_gitops(int count) {
  const Estate estate(count);
  aio::BlockingPool blocking(2);
  asio::io_context context;
  const TemporaryFolder folder;
  if (await(context, make_repository(folder / "cluster.git")) != 0) throw std::runtime_error("git init failed");
  git::PushSettings push;
  push.remote.url = "file://" + folder / "cluster.git";
  push.remote.directory = folder / "push";
  provision::GitopsRules rules;
  rules.key_recipients = {secrets::AgeIdentity::generate().recipient()};
  provision::GitopsTarget target(std::move(push), std::move(rules), blocking, Logger{});
  std::vector<store::ClusterObjectRow> known;
  for (const std::string_view what : {"from nothing", "nothing to do", "nothing to do"}) {
    const Stopwatch watch;
    const auto done = await(context, pass(&target, &estate, &known));
    JsonLine()
        .add("target", "gitops")
        .add("what", what)
        .add("deployments", std::int64_t{count})
        .add("objects", static_cast<std::int64_t>(done.objects))
        .add("seconds", watch.wall_seconds())
        .add("cpu_seconds", watch.cpu_seconds())
        .add("different", static_cast<std::int64_t>(done.different))
        .add("rss_mb", resident_mb())
        .print();
  }
}

}  // namespace

int cluster(Arguments arguments) {
  int count = 0;
  if (arguments.size() != 2) return exit_usage;
  const auto number = arguments[1];
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), count);
  if (error != std::errc() || end != number.data() + number.size() || count < 1) return exit_usage;
  if (arguments[0] == "kubernetes") {
    on_kubernetes(count);
  } else if (arguments[0] == "gitops") {
    on_gitops(count);
  } else {
    return exit_usage;
  }
  return 0;
}

}  // namespace opi::bench
