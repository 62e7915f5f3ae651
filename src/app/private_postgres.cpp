#include "app/private_postgres.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <system_error>

#include "aio/subprocess.hpp"
#include "aio/with_deadline.hpp"
#include "base/backoff.hpp"
#include "base/secret_string.hpp"

namespace opi::app {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr auto poll_interval = 10ms;
constexpr std::size_t early_output_max = 8'192;

std::vector<std::string> lines_of(const fs::path& file, std::size_t most) {
  std::vector<std::string> lines;
  std::ifstream in(file);
  for (std::string line; lines.size() < most && std::getline(in, line);) lines.push_back(line);
  return lines;
}

template <class Number>
std::optional<Number> number_from(std::string_view text) {
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  Number value{};
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The server's environment: nothing of ours but where programs are and how it speaks.
std::vector<std::string> server_environment() {
  return {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC"};
}

Error file_error(std::string what) {
  return system_error(errno == EEXIST ? ErrorKind::conflict : ErrorKind::denied, std::move(what), errno);
}

// A copy of the password that initdb, as the other user, can read; gone when this object is.
class PasswordCopy {
 public:
  static Result<PasswordCopy> make(const ServerAccount& account, const fs::path& source, const fs::path& target) {
    std::ifstream in(source);
    std::string password;
    if (!std::getline(in, password)) return failure(file_error(fmt::format("cannot read {}", source.string())));
    PasswordCopy copy{target};
    const int fd = ::open(target.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return failure(file_error(fmt::format("cannot write {}", target.string())));
    const bool written = ::write(fd, password.data(), password.size()) == static_cast<ssize_t>(password.size());
    const bool given = !account.other || ::fchown(fd, account.uid, account.gid) == 0;
    ::close(fd);
    wipe(password);
    if (!written || !given) return failure(file_error(fmt::format("cannot write {}", target.string())));
    return copy;
  }
  explicit PasswordCopy(fs::path path) : path_(std::move(path)) {}
  PasswordCopy(PasswordCopy&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  PasswordCopy& operator=(PasswordCopy&&) = delete;
  PasswordCopy(const PasswordCopy&) = delete;
  PasswordCopy& operator=(const PasswordCopy&) = delete;
  ~PasswordCopy() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }

 private:
  fs::path path_;
};

std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

}  // namespace

std::optional<RunningPostgres> running_postgres(const fs::path& data) {
  const auto lines = lines_of(data / "postmaster.pid", 8);
  if (lines.size() < 4) return std::nullopt;
  const auto pid = number_from<int>(lines[0]);
  const auto port = number_from<std::uint16_t>(lines[3]);
  if (!pid || !port || *pid <= 1) return std::nullopt;
  if (::kill(*pid, 0) != 0 && errno != EPERM) return std::nullopt;  // a file that a crash left behind
  // The number may have gone to another process since: only a postgres in its own data folder counts.
  std::error_code ec;
  const fs::path where = fs::read_symlink(fmt::format("/proc/{}/cwd", *pid), ec);
  if (ec || !fs::equivalent(where, data, ec)) return std::nullopt;
  return RunningPostgres{.pid = *pid, .port = *port, .ready = lines.size() >= 8 && lines[7].starts_with("ready")};
}

Result<fs::path> postgres_binaries(std::optional<std::string> major) {
  std::error_code ec;
  std::optional<std::pair<int, fs::path>> best;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", ec)) {
    const auto name = entry.path().filename().string();
    const auto number = number_from<int>(name);
    if (!number || !fs::exists(entry.path() / "bin/postgres", ec) || !fs::exists(entry.path() / "bin/initdb", ec))
      continue;
    if (major && *major != name) continue;
    if (!best || best->first < *number) best = {*number, entry.path() / "bin"};
  }
  if (best) return best->second;
  return failure(Error(ErrorKind::not_found, fmt::format("initdb and postgres{} are not on this machine",
                                                         major ? " of version " + *major : std::string()))
                     .with_remedy(fmt::format("install the package postgresql-{}", major.value_or("15"))));
}

Result<std::uint16_t> free_port(std::uint16_t preferred) {
  for (const std::uint16_t candidate : {preferred, std::uint16_t{0}}) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return failure(file_error("cannot open a socket"));
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(candidate);
    socklen_t length = sizeof address;
    // NOLINTBEGIN(cppcoreguidelines-pro-type-reinterpret-cast): the socket interface wants it so
    const bool bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), length) == 0 &&
                       ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0;
    // NOLINTEND(cppcoreguidelines-pro-type-reinterpret-cast)
    ::close(fd);
    if (bound) return ntohs(address.sin_port);
  }
  return failure(file_error("no free port on 127.0.0.1"));
}

PrivatePostgres::PrivatePostgres(asio::any_io_executor executor, PrivatePostgresSettings settings, Logger log)
    : executor_(executor),
      settings_(std::move(settings)),
      log_(log.named("postgres")),
      tasks_(executor, log_, "private_postgres") {}

PrivatePostgres::~PrivatePostgres() = default;

Task<Result<>> PrivatePostgres::start(SteadyTime deadline) {
  if (auto prepared = co_await prepare(deadline); !prepared) co_return failure(std::move(prepared.error()));
  if (auto launched = co_await launch(deadline); !launched) {
    const Error error = std::move(launched.error());
    (void)co_await stop(std::chrono::steady_clock::now() + 5s);
    co_return failure(error);
  }
  tasks_.spawn("keep running", keep_running());
  co_return Result<>{};
}

Task<Result<>> PrivatePostgres::prepare(SteadyTime deadline) {
  auto account = server_account();
  if (!account) co_return failure(std::move(account.error()));
  account_ = *account;
  auto home = place_for(account_, settings_.directory, settings_.system_state);
  if (!home) co_return failure(std::move(home.error()).while_doing("PostgreSQL's data cannot be kept"));
  home_ = *home;
  const auto made = lines_of(home_ / "data/PG_VERSION", 1);
  std::optional<std::string> major;
  if (!made.empty()) major = made.front();
  if (settings_.binaries.empty()) {
    auto binaries = postgres_binaries(major);
    if (!binaries && major && postgres_binaries(std::nullopt)) {
      co_return failure(
          Error(ErrorKind::conflict, fmt::format("{} holds data of PostgreSQL {}, and this machine has version {}",
                                                 settings_.directory.string(), *major,
                                                 postgres_binaries(std::nullopt)->parent_path().filename().string()))
              .with_remedy(fmt::format("install postgresql-{}, or move that folder away to start afresh", *major)));
    }
    if (!binaries) co_return failure(std::move(binaries.error()));
    binaries_ = *binaries;
  } else {
    binaries_ = settings_.binaries;
  }
  aio::Command ask{.argv = {(binaries_ / "postgres").string(), "--version"}, .environment = server_environment()};
  auto answer = co_await aio::run_command(std::move(ask), deadline);
  if (!answer) co_return failure(std::move(answer.error()).while_doing("cannot run the PostgreSQL server"));
  // "postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)"
  const std::string line = first_line(answer->output);
  const auto begin = line.find(") ");
  if (begin != std::string::npos) version_ = line.substr(begin + 2, line.find(' ', begin + 2) - begin - 2);
  if (major) co_return Result<>{};
  co_return co_await initialise(deadline);
}

Task<Result<>> PrivatePostgres::initialise(SteadyTime deadline) {
  // Made beside and renamed at the end: a kill in between leaves nothing that looks like data.
  const fs::path fresh = home_ / "data.new";
  std::error_code ec;
  fs::remove_all(fresh, ec);
  const fs::path password = home_ / "password.new";
  auto copy = PasswordCopy::make(account_, settings_.password_file, password);
  if (!copy) co_return failure(std::move(copy.error()));
  std::vector<std::string> argv{(binaries_ / "initdb").string(),
                                "--pgdata=" + fresh.string(),
                                "--username=" + settings_.superuser,
                                "--pwfile=" + password.string(),
                                "--auth=scram-sha-256",
                                "--encoding=UTF8",
                                "--locale=C.UTF-8"};
  aio::Command command{
      .argv = as_account(account_, std::move(argv)), .environment = server_environment(), .directory = home_.string()};
  auto result = co_await aio::run_command(std::move(command), deadline);
  if (!result) co_return failure(std::move(result.error()).while_doing("initdb failed"));
  if (result->exit_code != 0) {
    co_return failure(Error(ErrorKind::denied, fmt::format("initdb failed with exit code {}", result->exit_code))
                          .because(first_line(result->error_output)));
  }
  fs::rename(fresh, home_ / "data", ec);
  if (ec) co_return failure(ErrorKind::denied, fmt::format("cannot rename {}: {}", fresh.string(), ec.message()));
  initialised_now_ = true;
  co_return Result<>{};
}

Result<> PrivatePostgres::spawn_server() {
  std::error_code ec;
  fs::remove(home_ / "postgres.log", ec);
  early_output_.clear();
  std::vector<std::string> argv{(binaries_ / "postgres").string(), "-D", (home_ / "data").string()};
  for (const auto& option : {std::string("listen_addresses=127.0.0.1"), fmt::format("port={}", settings_.port),
                             std::string("unix_socket_directories="), std::string("shared_buffers=32MB"),
                             std::string("logging_collector=on"), "log_directory=" + home_.string(),
                             std::string("log_filename=postgres.log"), std::string("log_rotation_size=0"),
                             std::string("log_rotation_age=0")}) {
    argv.emplace_back("-c");
    argv.push_back(option);
  }
  auto server = aio::ChildProcess::start(executor_, {.argv = as_account(account_, std::move(argv)),
                                                     .environment = server_environment(),
                                                     .directory = home_.string(),
                                                     .input = aio::ChildStream::nothing,
                                                     .output = aio::ChildStream::nothing,
                                                     .error_output = aio::ChildStream::pipe});
  if (!server) return failure(std::move(server.error()).while_doing("cannot run the PostgreSQL server"));
  server_ended_ = false;
  server_.emplace(std::move(*server));
  tasks_.spawn("server", watch_server());
  return {};
}

Task<> PrivatePostgres::watch_server() {
  std::array<char, 1'024> buffer{};
  for (;;) {
    const auto [ec, size] = co_await server_->error_output().async_read_some(asio::buffer(buffer), as_result);
    if (ec) break;
    if (early_output_.size() < early_output_max) early_output_.append(buffer.data(), size);
  }
  if (!co_await server_->wait()) co_return;
  server_ended_ = true;
}

Task<Result<>> PrivatePostgres::launch(SteadyTime deadline) {
  while (std::chrono::steady_clock::now() < deadline) {
    const auto running = running_postgres(home_ / "data");
    if (running && running->ready) {
      if (settings_.port != 0 && running->port != settings_.port) {
        co_return failure(
            Error(ErrorKind::conflict, fmt::format("the server on {} listens on port {}, not {}",
                                                   settings_.directory.string(), running->port, settings_.port))
                .with_remedy("stop the other opi that runs it"));
      }
      co_return Result<>{};
    }
    if (!running && server_ended_) {
      reap_server();
      co_return failure(start_failure());
    }
    // Not before one that is still shutting down (its owner was killed) has left the data.
    if (!running && !server_) {
      if (auto spawned = spawn_server(); !spawned) co_return failure(std::move(spawned.error()));
    }
    if (!co_await aio::sleep_for(poll_interval)) {
      co_return failure(ErrorKind::cancelled, "starting PostgreSQL was cancelled");
    }
  }
  co_return failure(
      Error(ErrorKind::timed_out, "PostgreSQL did not get ready in time").because(start_failure().to_string()));
}

void PrivatePostgres::reap_server() {
  if (!server_ || !server_ended_) return;
  (void)server_->reap();
  server_.reset();
  server_ended_ = false;
}

Error PrivatePostgres::start_failure() const {
  Error error(ErrorKind::unavailable, "PostgreSQL did not start");
  auto said = lines_of(home_ / "postgres.log", 10'000);
  said.push_back(first_line(early_output_));
  std::string last;
  for (const auto& line : said) {
    if (const auto fatal = line.find("FATAL:"); fatal != std::string::npos) last = line.substr(fatal);
    if (line.find("could not bind") != std::string::npos) {
      error.kind = ErrorKind::conflict;
      error.remedy = fmt::format("port {} is in use by another process; stop it", settings_.port);
    }
  }
  if (!last.empty()) error.causes.push_back(last);
  error.causes.push_back(fmt::format("see {}", (home_ / "postgres.log").string()));
  return error;
}

// Ours may crash, and one that another process of ours started may be stopped by it; either way the pools want a
// server.
Task<> PrivatePostgres::keep_running() {
  Backoff backoff({.first = 500ms, .most = 10s}, 1);
  auto wait = backoff.next();
  for (;;) {
    if (!co_await aio::sleep_for(wait)) co_return;
    if (running_postgres(home_ / "data")) continue;
    reap_server();
    log_.warn("server", "is gone; starting it again");
    auto launched = co_await launch(std::chrono::steady_clock::now() + 30s);
    if (launched) {
      backoff.reset();
    } else if (launched.error().kind == ErrorKind::cancelled) {
      co_return;
    } else {
      log_.error("server", launched.error().to_string());
    }
    wait = backoff.next();
  }
}

Task<Result<>> PrivatePostgres::stop(SteadyTime deadline) {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  tasks_.cancel();
  co_await tasks_.join();
  if (!server_) co_return Result<>{};
  // SIGINT is PostgreSQL's fast shutdown: sessions are ended, data is checkpointed.
  const auto grace = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  const int code = co_await server_->end(std::max(grace, 0ms), SIGINT);
  server_.reset();
  if (code != 0)
    co_return failure(ErrorKind::timed_out, fmt::format("PostgreSQL did not stop cleanly (exit code {})", code));
  co_return Result<>{};
}

}  // namespace opi::app
