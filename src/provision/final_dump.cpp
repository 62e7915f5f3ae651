#include "provision/final_dump.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>
#include <vector>

#include "aio/subprocess.hpp"
#include "base/clock.hpp"

namespace opi::provision {
namespace {

namespace fs = std::filesystem;

std::string_view mode_name(pg::TlsMode mode) {
  switch (mode) {
    case pg::TlsMode::disable: return "disable";
    case pg::TlsMode::prefer: return "prefer";
    case pg::TlsMode::require: return "require";
    case pg::TlsMode::verify_ca: return "verify-ca";
    case pg::TlsMode::verify_full: return "verify-full";
  }
  return "verify-full";
}

std::vector<std::string> environment_of(const pg::ServerSettings& server) {
  std::vector<std::string> hosts;
  std::vector<std::string> ports;
  for (const auto& host : server.hosts) {
    hosts.push_back(host.host);
    ports.push_back(std::to_string(host.port));
  }
  std::vector<std::string> environment{fmt::format("PGHOST={}", fmt::join(hosts, ",")),
                                       fmt::format("PGPORT={}", fmt::join(ports, ",")),
                                       "PGUSER=" + server.user,
                                       fmt::format("PGSSLMODE={}", mode_name(server.tls)),
                                       "PGAPPNAME=opi final dump",
                                       "LC_MESSAGES=C"};
  if (!server.tls_ca_file.empty()) environment.push_back("PGSSLROOTCERT=" + server.tls_ca_file);
  return environment;
}

/// Made before pg_dump opens it, so that it is never readable by others.
Result<> make_private_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) {
    const int problem = errno;
    return failure(
        system_error(problem == ENOENT ? ErrorKind::not_found : ErrorKind::denied, "cannot write " + path, problem)
            .with_remedy("make the folder of removal.dump_directory writable for us"));
  }
  const bool narrowed = ::fchmod(file, 0600) == 0;
  ::close(file);
  if (!narrowed) return failure(ErrorKind::denied, path + " cannot be kept from others");
  return {};
}

Result<> give_its_name(const std::string& part, const std::string& path) {
  if (::rename(part.c_str(), path.c_str()) != 0)
    return failure(system_error(ErrorKind::denied, "cannot rename " + part, errno));
  const int folder = ::open(fs::path(path).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return failure(system_error(ErrorKind::denied, "cannot open the folder of " + path, errno));
  const bool synced = ::fsync(folder) == 0;
  ::close(folder);
  if (!synced) return failure(ErrorKind::internal, "the folder of " + path + " could not be written to disk");
  return {};
}

Error complaint(const aio::CommandResult& ended) {
  auto text = ended.error_output;
  while (text.ends_with('\n')) text.pop_back();
  const auto line = text.substr(text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1);
  const bool older = text.find("server version mismatch") != std::string::npos;
  Error error(older ? ErrorKind::unsupported : ErrorKind::conflict,
              fmt::format("pg_dump failed with code {}", ended.exit_code));
  if (older)
    return std::move(error).because("it is older than the server").with_remedy("name a newer one: removal.pg_dump");
  return std::move(error).because(line);
}

}  // namespace

Task<Result<std::string>> write_final_dump(pg::ServerSettings server, std::string database, std::string stamp,
                                           DumpRules rules) {
  const auto path = fmt::format("{}/{}-{}.dump", rules.directory, database, stamp.substr(0, 8));
  const auto part = path + ".part";
  auto made = make_private_file(part);
  if (!made) co_return failure(std::move(made.error()));
  aio::Command command{
      .argv = {rules.program, "--format=custom", "--no-password", "--file=" + part, "--dbname=" + database},
      .environment = environment_of(server)};
  if (server.password) {
    auto password = server.password();
    if (!password) co_return failure(std::move(password.error()));
    std::string entry = "PGPASSWORD=";
    entry.reserve(entry.size() + password->size());
    entry += password->reveal();
    command.secret_environment.push_back(SecretString::take(std::move(entry)));
  }
  auto ended = co_await aio::run_command(std::move(command), SystemClock().steady() + rules.deadline);
  if (!ended) co_return failure(std::move(ended.error()));
  if (ended->exit_code != 0) co_return failure(complaint(*ended));
  auto named = give_its_name(part, path);
  if (!named) co_return failure(std::move(named.error()));
  co_return path;
}

}  // namespace opi::provision
