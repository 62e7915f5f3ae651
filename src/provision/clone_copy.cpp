#include "provision/clone_copy.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>
#include <charconv>
#include <csignal>
#include <utility>

#include "aio/child_process.hpp"
#include "aio/gate.hpp"
#include "aio/io_error.hpp"
#include "aio/subprocess.hpp"
#include "aio/task_scope.hpp"
#include "aio/with_deadline.hpp"

namespace opi::provision {
namespace {

constexpr std::chrono::seconds version_deadline{10};
constexpr std::chrono::seconds grace{2};
constexpr std::size_t complaint_max = 4'096;
constexpr std::size_t part_bytes = 256U << 10U;

/// Where programs that are named without a path are looked for; nothing of our own environment is passed on.
constexpr const char* path_variable = "PATH=/usr/local/bin:/usr/bin:/bin";

Task<Result<int>> ask_version(std::string program) {
  auto answer = co_await aio::run_command(
      {.argv = {program, "--version"}, .environment = {path_variable, "LC_ALL=C"}, .output_max = complaint_max},
      SystemClock().steady() + version_deadline);
  if (!answer) co_return failure(std::move(answer.error()));
  if (answer->exit_code != 0)
    co_return failure(ErrorKind::invalid, fmt::format("{} --version ends with {}", program, answer->exit_code));
  co_return parse_program_version(answer->output);
}

std::optional<Error> program_refusal(const Result<int>& version, const std::string& program, std::string_view setting,
                                     int server_major) {
  const std::string remedy = fmt::format(
      "install PostgreSQL's client programs of version {} or later, and name them in clone.{}", server_major, setting);
  if (!version) {
    return Error(ErrorKind::unsupported, fmt::format("{} cannot be used: {}", program, version.error().message))
        .with_remedy(remedy)
        .handled_by(Handling::needs_person);
  }
  if (*version >= server_major) return std::nullopt;
  return Error(ErrorKind::unsupported, fmt::format("{} is of version {}, the server of {}: it cannot copy from it",
                                                   program, *version, server_major))
      .with_remedy(remedy)
      .handled_by(Handling::needs_person);
}

std::string_view tls_word(pg::TlsMode mode) {
  switch (mode) {
    case pg::TlsMode::disable: return "disable";
    case pg::TlsMode::prefer: return "prefer";
    case pg::TlsMode::require: return "require";
    case pg::TlsMode::verify_ca: return "verify-ca";
    case pg::TlsMode::verify_full: return "verify-full";
  }
  return "prefer";
}

/// Everything that a client of PostgreSQL would otherwise take from files and variables of whoever runs us.
std::vector<std::string> environment_of(const pg::ServerSettings& server, const CopyEnd& end) {
  std::string hosts;
  std::string ports;
  for (const auto& one : server.hosts) {
    hosts += (hosts.empty() ? "" : ",") + one.host;
    ports += (ports.empty() ? "" : ",") + std::to_string(one.port);
  }
  std::vector<std::string> all{
      path_variable,
      "LC_ALL=C",
      "PGHOST=" + hosts,
      "PGPORT=" + ports,
      "PGUSER=" + end.user,
      "PGDATABASE=" + end.database,
      fmt::format("PGOPTIONS=-c role={}", end.role),
      fmt::format("PGSSLMODE={}", tls_word(server.tls)),
      "PGAPPNAME=opi clone",
      "PGPASSFILE=/dev/null",
      "PGSERVICEFILE=/dev/null",
      fmt::format("PGCONNECT_TIMEOUT={}", std::max<std::int64_t>(2, server.connect_timeout.count() / 1'000))};
  if (server.hosts.size() > 1) all.emplace_back("PGTARGETSESSIONATTRS=read-write");
  if (!server.tls_ca_file.empty()) all.push_back("PGSSLROOTCERT=" + server.tls_ca_file);
  return all;
}

std::vector<std::string> dump_argv(const CloneTools& tools) {
  return {tools.pg_dump,        "--format=custom",  "--compress=0",
          "--no-owner",         "--no-privileges",  "--no-publications",
          "--no-subscriptions", "--no-tablespaces", "--lock-wait-timeout=60s",
          "--no-password"};
}

std::vector<std::string> restore_argv(const CloneTools& tools, const CopyEnd& to) {
  return {tools.pg_restore,   "--dbname=" + to.database, "--no-owner",      "--no-privileges",
          "--no-tablespaces", "--single-transaction",    "--exit-on-error", "--no-password"};
}

Result<aio::ChildProcess> start(const asio::any_io_executor& executor, std::vector<std::string> argv,
                                const pg::ServerSettings& server, const CopyEnd& end, aio::ChildStream input,
                                aio::ChildStream output) {
  aio::ChildSettings settings{.argv = std::move(argv), .environment = environment_of(server, end)};
  settings.secret_environment.emplace_back("PGPASSWORD=" + std::string(end.password.reveal()));
  settings.directory = "/";
  settings.input = input;
  settings.output = output;
  return aio::ChildProcess::start(executor, std::move(settings));
}

/// Both children and what they complain of. Lives in copy_database's frame, which waits for the tasks.
struct Pipeline {
  aio::ChildProcess dump;
  aio::ChildProcess restore;
  aio::Gate listening;  ///< held by the tasks that listen
  std::string dump_complaint = {};
  std::string restore_complaint = {};
  std::optional<int> dump_code = {};  ///< how they ended, once they have
  std::optional<int> restore_code = {};
  bool broken = false;  ///< what the dump wrote could not be handed on
};

Task<> listen_to(Pipeline* both, aio::ChildProcess* child, std::string* complaint) {
  const auto pass = both->listening.enter();
  std::array<char, 4'096> buffer{};
  for (;;) {
    const auto [ec, size] = co_await child->error_output().async_read_some(asio::buffer(buffer), as_result);
    if (ec) co_return;
    complaint->append(buffer.data(), std::min(size, complaint_max - complaint->size()));
  }
}

/// The first line that says what is wrong: the rest are its consequences.
Error complaint_of(std::string_view program, int code, std::string_view text) {
  std::string said = fmt::format("ended with {}", code);
  for (const std::string_view mark : {"error: ", "FATAL:  "}) {
    const auto at = text.find(mark);
    if (at == std::string_view::npos) continue;
    const auto line = text.substr(at + mark.size());
    said = line.substr(0, line.find('\n'));
    break;
  }
  return Error(ErrorKind::conflict, fmt::format("{}: {}", program, said));
}

/// Hands on what the dump writes. The restore only learns that this is all when the dump has ended well: half an
/// archive is never committed.
Task<Result<>> pump(Pipeline* both) {
  std::vector<char> part(part_bytes);
  for (;;) {
    const auto [ec, size] = co_await both->dump.output().async_read_some(asio::buffer(part), as_result);
    if (ec == asio::error::eof) break;
    if (ec) co_return failure(aio::io_error("read what pg_dump writes", ec));
    const auto [failed, written] =
        co_await asio::async_write(both->restore.input(), asio::buffer(part.data(), size), as_result);
    if (failed) {
      if (failed == asio::error::operation_aborted) co_return failure(ErrorKind::cancelled, "cancelled");
      both->broken = true;  // the restore has ended, and says why
      break;
    }
    static_cast<void>(written);
  }
  if (!both->broken) {
    if (auto ended = co_await both->dump.wait(); !ended) co_return ended;
    both->dump_code = both->dump.reap();
    if (*both->dump_code != 0) co_return Result<>{};
    boost::system::error_code ignored;
    both->restore.input().close(ignored);
  }
  if (auto ended = co_await both->restore.wait(); !ended) co_return ended;
  both->restore_code = both->restore.reap();
  co_return Result<>{};
}

/// How it ended, when both have, and all that they said is read.
Result<> verdict(const Pipeline& both) {
  if (both.dump_code.value_or(0) != 0) return failure(complaint_of("pg_dump", *both.dump_code, both.dump_complaint));
  if (both.restore_code.value_or(1) != 0 || both.broken)
    return failure(complaint_of("pg_restore", both.restore_code.value_or(1), both.restore_complaint));
  return {};
}

/// Nobody of the two is left, and everything they said is read.
Task<> end_both(Pipeline* both, aio::TaskScope* tasks) {
  co_await both->dump.end(grace, SIGTERM);
  co_await both->restore.end(grace, SIGTERM);
  co_await both->listening.close(SystemClock().steady() + grace);
  tasks->cancel();
  co_await tasks->join();
}

}  // namespace

Result<int> parse_program_version(std::string_view text) {
  const std::string_view mark = "(PostgreSQL) ";
  const auto at = text.find(mark);
  int major = 0;
  if (at != std::string_view::npos) {
    const auto number = text.substr(at + mark.size());
    std::from_chars(number.data(), number.data() + number.size(), major);
  }
  if (major <= 0) return failure(ErrorKind::invalid, "says no version of PostgreSQL");
  return major;
}

Task<ToolVersions> ask_tool_versions(CloneTools tools) {
  ToolVersions versions;
  versions.pg_dump = co_await ask_version(tools.pg_dump);
  versions.pg_restore = co_await ask_version(tools.pg_restore);
  co_return versions;
}

std::optional<Error> tools_refusal(const ToolVersions& versions, const CloneTools& tools, int server_version) {
  const int server_major = server_version / 10'000;
  if (auto dump = program_refusal(versions.pg_dump, tools.pg_dump, "pg_dump", server_major)) return dump;
  // An archive is only understood by the version that wrote it, and later ones.
  return program_refusal(versions.pg_restore, tools.pg_restore, "pg_restore",
                         std::max(server_major, *versions.pg_dump));
}

std::string copy_text(const CloneTools& tools, const CopyEnd& from, const CopyEnd& to) {
  return fmt::format("{} (as {} in {}) | {} (as {} in {})", fmt::join(dump_argv(tools), " "), from.user, from.database,
                     fmt::join(restore_argv(tools, to), " "), to.user, to.database);
}

Task<Result<>> copy_database(pg::ServerSettings server, CopyEnd from, CopyEnd to, CloneTools tools) {
  using aio::ChildStream;
  const auto executor = co_await asio::this_coro::executor;
  auto restore = start(executor, restore_argv(tools, to), server, to, ChildStream::pipe, ChildStream::nothing);
  if (!restore) co_return failure(std::move(restore.error()));
  auto dump = start(executor, dump_argv(tools), server, from, ChildStream::nothing, ChildStream::pipe);
  if (!dump) co_return failure(std::move(dump.error()));
  Pipeline both{.dump = *std::move(dump), .restore = *std::move(restore), .listening = aio::Gate(executor)};
  aio::TaskScope tasks(executor, Logger(), "clone");
  tasks.spawn("pg_dump", listen_to(&both, &both.dump, &both.dump_complaint));
  tasks.spawn("pg_restore", listen_to(&both, &both.restore, &both.restore_complaint));
  auto done =
      co_await aio::with_deadline(pump(&both), SystemClock().steady() + tools.deadline,
                                  fmt::format("the copy did not end within {} s", tools.deadline.count() / 1'000));
  co_await asio::this_coro::throw_if_cancelled(false);  // we may be cancelled by now, and still clean up
  co_await aio::shielded(end_both(&both, &tasks));
  co_await asio::this_coro::throw_if_cancelled(true);
  if (!done) co_return done;
  co_return verdict(both);
}

}  // namespace opi::provision
