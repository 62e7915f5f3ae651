#include "app/demo.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <vector>

#include "aio/subprocess.hpp"
#include "app/boot_banner.hpp"
#include "app/private_postgres.hpp"
#include "git/file_url.hpp"
#include "secrets/password.hpp"
#include "secrets/platform_key.hpp"

namespace opi::app {

namespace fs = std::filesystem;

namespace {

constexpr std::uint16_t preferred_http_port = 8080;
constexpr std::uint16_t preferred_probes_port = 8001;

// Written beside and renamed: a reader sees all of it or none, and a full disk leaves what was there.
Result<> write_file(const fs::path& path, std::string_view content) {
  const fs::path fresh = path.string() + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return failure(system_error(ErrorKind::denied, fmt::format("cannot write {}", path.string()), errno));
  const bool written =
      ::write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()) && ::fsync(fd) == 0;
  const int why = errno;
  ::close(fd);
  if (!written || ::rename(fresh.c_str(), path.c_str()) != 0) {
    return failure(
        system_error(ErrorKind::denied, fmt::format("cannot write {}", path.string()), written ? errno : why));
  }
  return {};
}

Result<> write_secret_once(const fs::path& path, const SecretString& secret) {
  std::error_code ec;
  if (fs::exists(path, ec)) return {};
  return write_file(path, secret.reveal());
}

std::vector<fs::path> project_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(folder, ec)) {
    const auto extension = entry.path().extension();
    if (entry.is_regular_file() && (extension == ".yaml" || extension == ".yml")) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Beside the working directory, beside the program's build folder, or where a package puts them.
Result<fs::path> find_examples(const fs::path& given) {
  std::error_code ec;
  const fs::path program = fs::read_symlink("/proc/self/exe", ec);
  const std::vector<fs::path> places =
      given.empty() ? std::vector<fs::path>{"examples/projects", program.parent_path() / "../../examples/projects",
                                            program.parent_path() / "../share/opi/examples/projects"}
                    : std::vector<fs::path>{given};
  for (const auto& place : places) {
    if (!project_files(place).empty()) return fs::canonical(place, ec);
  }
  return failure(Error(ErrorKind::not_found, fmt::format("no project files in {}", places.front().string()))
                     .with_remedy("name their folder with --examples"));
}

// Git with nothing of the user's configuration, as somebody who is plainly not a person.
Task<Result<std::string>> git(std::vector<std::string> arguments, SteadyTime deadline) {
  std::vector<std::string> argv{"git",
                                "-c",
                                "user.name=opi demo",
                                "-c",
                                "user.email=demo@opi.invalid",
                                "-c",
                                "init.defaultBranch=main",
                                "-c",
                                "safe.directory=*",
                                "-c",
                                "commit.gpgSign=false"};
  const std::string what = arguments.front() == "-C" ? arguments[2] : arguments.front();
  for (auto& argument : arguments) argv.push_back(std::move(argument));
  aio::Command command{.argv = std::move(argv),
                       .environment = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/nonexistent",
                                       "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C"}};
  auto result = co_await aio::run_command(std::move(command), deadline);
  if (!result) co_return failure(std::move(result.error()).while_doing(fmt::format("git {} failed", what)));
  if (result->exit_code != 0) {
    co_return failure(Error(ErrorKind::denied, fmt::format("git {} failed with exit code {}", what, result->exit_code))
                          .because(result->error_output.substr(0, result->error_output.find('\n'))));
  }
  while (result->output.ends_with('\n')) result->output.pop_back();
  co_return std::move(result->output);
}

Task<Result<>> make_repository(fs::path directory, fs::path examples, SteadyTime deadline) {
  const fs::path seed = directory / "seed.new";
  const fs::path fresh = directory / "projects.git.new";
  std::error_code ec;
  fs::remove_all(seed, ec);
  fs::remove_all(fresh, ec);
  fs::create_directories(seed / "projects", ec);
  if (ec) co_return failure(ErrorKind::denied, fmt::format("cannot make {}: {}", seed.string(), ec.message()));
  for (const auto& file : project_files(examples)) {
    fs::copy_file(file, seed / "projects" / file.filename(), ec);
    if (ec) co_return failure(ErrorKind::denied, fmt::format("cannot copy {}: {}", file.string(), ec.message()));
  }
  const std::vector<std::vector<std::string>> steps{
      {"init", "--quiet", "--", seed.string()},
      {"-C", seed.string(), "add", "--", "projects"},
      {"-C", seed.string(), "commit", "--quiet", "-m", "The examples"},
      {"clone", "--quiet", "--bare", "--no-hardlinks", "--", seed.string(), fresh.string()},
      {"-C", fresh.string(), "remote", "remove", "origin"},
  };
  for (const auto& step : steps) {
    if (auto done = co_await git(step, deadline); !done) co_return failure(std::move(done.error()));
  }
  fs::remove_all(seed, ec);
  fs::rename(fresh, directory / "projects.git", ec);
  if (ec) co_return failure(ErrorKind::denied, fmt::format("cannot rename {}: {}", fresh.string(), ec.message()));
  co_return Result<>{};
}

Task<Result<>> make_empty_repository(fs::path where, SteadyTime deadline) {
  const fs::path fresh = where.string() + ".new";
  std::error_code ec;
  fs::remove_all(fresh, ec);
  auto made = co_await git({"init", "--quiet", "--bare", "--initial-branch=main", "--", fresh.string()}, deadline);
  if (!made) co_return failure(std::move(made.error()));
  fs::rename(fresh, where, ec);
  if (ec) co_return failure(ErrorKind::denied, fmt::format("cannot rename {}: {}", fresh.string(), ec.message()));
  co_return Result<>{};
}

// YAML takes every JSON string as it is; paths may hold anything.
std::string yaml_quoted(const fs::path& path) {
  std::string quoted = "\"";
  for (const char c : path.string()) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

std::string configuration_text(const Demo& demo, const fs::path& directory) {
  return fmt::format(
      R"(# Written by `opi demo` at each start. It is an ordinary configuration: copy it, change it, and run
#   opi serve --config opi.yaml
environment: demo
cluster:
  name: local
  namespace_prefix: rig-
  # Namespaces, keys and Secrets go into a repository, as for Flux. With an API server at hand: target: kubernetes.
  target: gitops
  gitops:
    url: {cluster}
private_postgres:
  directory: {postgres}
databases:
  main:
    host: 127.0.0.1
    port: {postgres_port}
    user: opi_admin
    password_file: {password}
    pool:
      min: 2
      max: 10
projects:
  repository:
    url: {repository}
    branch: main
    poll_interval: 500ms
secrets:
  platform_key_file: {key}
state:
  directory: {state}
http:
  port: {http_port}
probes:
  port: {probes_port}
)",
      fmt::arg("postgres", yaml_quoted(directory / "postgres")), fmt::arg("postgres_port", demo.postgres_port),
      fmt::arg("password", yaml_quoted(directory / "postgres-password")),
      fmt::arg("repository", yaml_quoted(git::file_url(demo.repository.string()))),
      fmt::arg("cluster", yaml_quoted(git::file_url(demo.cluster.string()))),
      fmt::arg("key", yaml_quoted(directory / "platform-key.txt")), fmt::arg("state", yaml_quoted(directory / "state")),
      fmt::arg("http_port", demo.http_port), fmt::arg("probes_port", demo.probes_port));
}

// The server's port that the last start wrote down under databases.main, so that addresses stay the same.
std::uint16_t port_written(const fs::path& configuration) {
  std::ifstream in(configuration);
  for (std::string line; std::getline(in, line);) {
    const std::string_view wanted = "    port: ";
    if (line.starts_with(wanted))
      return static_cast<std::uint16_t>(std::strtoul(line.c_str() + wanted.size(), nullptr, 10));
  }
  return 0;
}

Result<> choose_ports(Demo& demo, const fs::path& directory) {
  std::error_code ec;
  const auto running = running_postgres(fs::canonical(directory / "postgres", ec) / "data");
  if (running) {
    demo.postgres_port = running->port;
  } else {
    const auto written = port_written(demo.configuration);
    const bool ours = written != preferred_http_port && written != preferred_probes_port;
    auto port = free_port(ours ? written : std::uint16_t{0});
    if (!port) return failure(std::move(port.error()));
    demo.postgres_port = *port;
  }
  auto http = free_port(preferred_http_port);
  auto probes = free_port(preferred_probes_port);
  if (!http) return failure(std::move(http.error()));
  if (!probes) return failure(std::move(probes.error()));
  demo.http_port = *http;
  demo.probes_port = *probes;
  return {};
}

}  // namespace

Task<Result<Demo>> prepare_demo(DemoOptions options, SteadyTime deadline) {
  std::error_code ec;
  const fs::path directory = fs::absolute(options.directory).lexically_normal();
  fs::create_directories(directory, ec);
  if (ec)
    co_return failure(ErrorKind::denied,
                      fmt::format("cannot make the folder {}: {}", directory.string(), ec.message()));
  // The server's user passes through it on its way to its data; every secret in it is mode 0600.
  fs::permissions(directory, fs::perms(0755), ec);

  Demo demo{.configuration = directory / "opi.yaml",
            .repository = directory / "projects.git",
            .checkout = directory / "checkout",
            .cluster = directory / "cluster.git"};
  const auto now = iso_utc(std::chrono::system_clock::now());
  if (!fs::exists(directory / "platform-key.txt", ec)) {
    auto made = write_secret_once(directory / "platform-key.txt", secrets::PlatformKey::generate().to_key_file(now));
    if (!made) co_return failure(std::move(made.error()));
  }
  if (auto made = write_secret_once(directory / "postgres-password", secrets::generate_password()); !made) {
    co_return failure(std::move(made.error()));
  }
  if (!fs::exists(demo.repository, ec)) {
    auto examples = find_examples(options.examples);
    if (!examples) co_return failure(std::move(examples.error()));
    if (auto made = co_await make_repository(directory, *examples, deadline); !made)
      co_return failure(std::move(made.error()));
    demo.repository_made = true;
  }
  if (!fs::exists(demo.checkout, ec)) {
    auto cloned = co_await git({"clone", "--quiet", "--", demo.repository.string(), demo.checkout.string()}, deadline);
    if (!cloned) co_return failure(std::move(cloned.error()));
  }
  if (!fs::exists(demo.cluster, ec)) {
    auto made = co_await make_empty_repository(demo.cluster, deadline);
    if (!made) co_return failure(std::move(made.error()));
  }
  auto head = co_await git({"-C", demo.repository.string(), "rev-parse", "--short=7", "main"}, deadline);
  if (!head) co_return failure(std::move(head.error()));
  demo.head = *head;
  auto listed = co_await git({"-C", demo.repository.string(), "ls-tree", "--name-only", "main", "projects/"}, deadline);
  if (!listed) co_return failure(std::move(listed.error()));
  demo.files = listed->empty() ? 0 : static_cast<std::size_t>(std::count(listed->begin(), listed->end(), '\n')) + 1;

  if (auto chosen = choose_ports(demo, directory); !chosen) co_return failure(std::move(chosen.error()));
  if (auto written = write_file(demo.configuration, configuration_text(demo, directory)); !written) {
    co_return failure(std::move(written.error()));
  }
  co_return demo;
}

}  // namespace opi::app
