#include "support/postgres_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>

#include "support/server_process.hpp"

namespace opi::test {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds start_deadline{20};

fs::path temporary_root() {
  for (const fs::path& candidate : {fs::temp_directory_path(), fs::path("/tmp"), fs::path("/var/tmp")}) {
    bool reachable = fs::is_directory(candidate);
    if (as_root()) {
      for (fs::path part = candidate; reachable && !part.empty(); part = part.parent_path()) {
        reachable = (fs::status(part).permissions() & fs::perms::others_exec) != fs::perms::none;
        if (part == part.parent_path()) break;
      }
    }
    if (reachable && candidate.string().size() < 60) return candidate;  // a socket's path has at most 107 bytes
  }
  throw std::runtime_error("no temporary folder that the user `postgres` can reach");
}

fs::path make_folder(const fs::path& parent, std::string_view prefix) {
  std::string path = (parent / (std::string(prefix) + "XXXXXX")).string();
  if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("mkdtemp in " + parent.string());
  ::chmod(path.c_str(), 0755);
  return path;
}

std::string random_password() {
  std::array<unsigned char, 18> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    throw std::runtime_error("getrandom");
  }
  std::string text = "pw-";
  for (const unsigned char byte : bytes) text += "0123456789abcdef"[byte % 16];
  return text;
}

/// Makes `template_folder` with data/ and password, complete or not at all.
void initialise_cluster(const fs::path& template_folder, int version) {
  const fs::path folder = make_folder(template_folder.parent_path(), "new-");
  const std::string password = random_password();
  std::ofstream(folder / "password") << password;
  fs::permissions(folder / "password", fs::perms::owner_read | fs::perms::owner_write);
  give_to_server_user(folder);
  give_to_server_user(folder / "password");
  run_to_end(as_server_user({postgres_program_directory(version) / "initdb", "--no-sync", "--wal-segsize=1",
                             "--encoding=UTF8", "--locale=C.UTF-8", "--username=postgres", "--auth=scram-sha-256",
                             "--pwfile=" + (folder / "password").string(), "--pgdata=" + (folder / "data").string()}),
             folder / "initdb.log");
  fs::rename(folder, template_folder);
}

/// What the servers of this user share.
fs::path shared_folder() {
  const fs::path parent = temporary_root() / ("opi-test-postgres-" + std::to_string(::geteuid()));
  if (::mkdir(parent.c_str(), 0755) == 0) ::chmod(parent.c_str(), 0755);
  struct stat owner{};
  if (::lstat(parent.c_str(), &owner) != 0 || !S_ISDIR(owner.st_mode) || owner.st_uid != ::geteuid()) {
    throw std::runtime_error(parent.string() + " belongs to someone else");
  }
  return parent;
}

/// The initialised cluster that every server of this user and version is a copy of; made by whoever comes first.
fs::path cluster_template(int version) {
  const std::string name =
      version == 0 ? postgres_program_directory().parent_path().filename().string() : std::to_string(version);
  const fs::path parent = shared_folder();
  const Descriptor lock(::open((parent / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock.get() < 0 || ::flock(lock.get(), LOCK_EX) != 0) throw std::runtime_error("lock in " + parent.string());
  const fs::path result = parent / ("v1-" + name);
  if (!fs::exists(result)) initialise_cluster(result, version);
  return result;
}

std::uint16_t free_port() {
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("no free port");
  }
  return ntohs(address.sin_port);
}

struct FinishConnection {
  void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
};
struct ClearResult {
  void operator()(PGresult* result) const noexcept { PQclear(result); }
};

/// The program may not be reachable for the servers' user (a clone below /root): then a copy is.
bool reachable_for_servers(const fs::path& path) {
  if (!as_root()) return true;
  for (fs::path part = path; part != part.parent_path(); part = part.parent_path()) {
    if ((fs::status(part).permissions() & fs::perms::others_exec) == fs::perms::none) return false;
  }
  return true;
}

fs::path installed_programs(int version) {
  const std::string name = "postgres-" + std::to_string(version);
  const fs::path native = fs::path(OPI_SOURCE_DIR) / "build/postgres/node_modules" / name / "native";
  if (!fs::exists(native / "bin" / "initdb"))
    throw std::runtime_error("PostgreSQL " + std::to_string(version) + " is not there; run scripts/test_postgres");
  if (reachable_for_servers(native / "bin")) return native / "bin";
  const fs::path parent = shared_folder();
  const Descriptor lock(::open((parent / "lock-programs").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock.get() < 0 || ::flock(lock.get(), LOCK_EX) != 0) throw std::runtime_error("lock in " + parent.string());
  const fs::path copy = parent / name;
  if (!fs::exists(copy)) {
    const fs::path fresh = make_folder(parent, "new-");
    fs::copy(native, fresh, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    fs::rename(fresh, copy);
  }
  return copy / "bin";
}

}  // namespace

fs::path postgres_program_directory(int wanted) {
  if (wanted != 0) return installed_programs(wanted);
  fs::path best;
  int best_version = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", ignored)) {
    const std::string name = entry.path().filename();
    int version = 0;
    std::from_chars(name.data(), name.data() + name.size(), version);
    if (version > best_version && fs::exists(entry.path() / "bin" / "initdb")) {
      best_version = version;
      best = entry.path() / "bin";
    }
  }
  if (best.empty()) throw std::runtime_error("no PostgreSQL server programs below /usr/lib/postgresql");
  return best;
}

PostgresServer::PostgresServer(PostgresOptions options) : options_(std::move(options)) {
  const fs::path cluster = cluster_template(options_.version);
  password_ = read_text(cluster / "password");
  make_folder_and_watcher();
  std::vector<std::string> copy = {"cp", "-a", "--reflink=auto", (cluster / "data").string(),
                                   (folder_ / "data").string()};
  run_to_end(copy, folder_ / "copy.log");
  if (options_.tls) make_certificate();
  start_first_time();
}

PostgresServer::PostgresServer(StandbyOf standby)
    : options_(standby.primary->options_), password_(standby.primary->password_) {
  make_folder_and_watcher();
  const std::string data = (folder_ / "data").string();
  fs::create_directory(data);
  give_to_server_user(data);
  fs::permissions(data, fs::perms::owner_all);
  const PostgresServer& primary = *standby.primary;
  const std::string source = "host=" + primary.host() + " port=" + std::to_string(primary.port()) +
                             " user=" + primary.superuser() + " password=" + primary.password();
  run_to_end(as_server_user({postgres_program_directory() / "pg_basebackup", "--write-recovery-conf", "--no-sync",
                             "--checkpoint=fast", "--wal-method=stream", "--dbname=" + source, "--pgdata=" + data}),
             folder_ / "copy.log");
  start_first_time();
}

void PostgresServer::promote() const {
  run_to_end(as_server_user({postgres_program_directory() / "pg_ctl", "promote", "--wait", "--pgdata",
                             (folder_ / "data").string()}),
             folder_ / "promote.log");
}

void PostgresServer::make_folder_and_watcher() {
  folder_ = make_folder(temporary_root(), "opi-pg-");
  fs::create_directory(folder_ / "socket");
  give_to_server_user(folder_ / "socket");

  // The watcher holds one end of a pipe whose other end dies with us: then it ends the server and removes the folder.
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  const Descriptor read_end(pipe[0]);
  watcher_pipe_ = pipe[1];
  static constexpr const char* script =
      "read -r line; pid=$(head -n 1 \"$1/data/postmaster.pid\" 2>/dev/null); "
      "if [ -n \"$pid\" ]; then kill -QUIT \"$pid\" 2>/dev/null; fi; "
      "for i in 1 2 3 4 5 6 7 8 9 10; do [ -e \"$1/data/postmaster.pid\" ] || break; sleep 0.1; done; rm -rf -- \"$1\"";
  watcher_pid_ = spawn({"sh", "-c", script, "watcher", folder_.string()}, read_end.get(), "/dev/null");
}

void PostgresServer::start_first_time() {
  for (int attempt = 0;; ++attempt) {
    port_ = free_port();
    spawn_postgres();
    if (wait_until_ready()) return;
    if (attempt == 4 || !log_text().contains("Address already in use")) fail("PostgreSQL does not start");
  }
}

PostgresServer::~PostgresServer() {
  try {
    stop(PostgresStop::immediate);
  } catch (const std::exception&) {
    // The watcher ends it.
  }
  // For the search for secrets that ./test makes at its end: this server logs every statement.
  if (const char* kept = std::getenv("OPI_TEST_LOGS"); kept != nullptr && *kept != '\0') {
    static int number = 0;
    std::error_code ignored;
    fs::copy_file(log_path(),
                  fs::path(kept) / ("postgres-" + std::to_string(::getpid()) + "-" + std::to_string(++number) + ".log"),
                  ignored);
  }
  ::close(watcher_pipe_);
  ::waitpid(watcher_pid_, nullptr, 0);
}

PostgresServer& PostgresServer::shared(int version) {
  static std::map<int, PostgresServer> servers;
  return servers.try_emplace(version, PostgresOptions{.version = version}).first->second;
}

std::string PostgresServer::log_text() const {
  return read_text(log_path());
}

void PostgresServer::fail(std::string_view what) const {
  std::string log = log_text();
  if (log.size() > 2'000) log.erase(0, log.size() - 2'000);
  throw std::runtime_error(std::string(what) + "\n" + log);
}

void PostgresServer::make_certificate() {
  const std::string key = (folder_ / "server.key").string();
  run_to_end({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
              "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out",
              certificate_path().string()},
             folder_ / "openssl.log");
  fs::permissions(key, fs::perms::owner_read | fs::perms::owner_write);
  give_to_server_user(key);
}

void PostgresServer::spawn_postgres() {
  std::vector<std::string> command = {postgres_program_directory(options_.version) / "postgres", "-D",
                                      (folder_ / "data").string()};
  const auto set = [&command](const std::string& name, const std::string& value) {
    command.emplace_back("-c");
    command.push_back(name + "=" + value);
  };
  set("listen_addresses", "127.0.0.1");
  set("port", std::to_string(port_));
  set("unix_socket_directories", socket_directory());
  set("max_connections", std::to_string(options_.max_connections));
  set("shared_buffers", "16MB");
  for (const char* off : {"fsync", "synchronous_commit", "full_page_writes", "autovacuum", "jit"}) set(off, "off");
  set("wal_level", options_.replicates ? "replica" : "minimal");
  set("max_wal_senders", options_.replicates ? "4" : "0");
  set("log_statement", "all");
  set("log_line_prefix", "%m [%p] %q%u@%d ");
  if (options_.tls) {
    set("ssl", "on");
    set("ssl_cert_file", certificate_path().string());
    set("ssl_key_file", (folder_ / "server.key").string());
  }
  for (const auto& [name, value] : options_.settings) set(name, value);
  pid_ = spawn(as_server_user(std::move(command)), -1, log_path());
  pidfd_ = open_pidfd(pid_);
}

bool PostgresServer::wait_until_ready() {
  const std::string directory = socket_directory();
  const std::string port = std::to_string(port_);
  const std::array<const char*, 4> names = {"host", "port", "dbname", nullptr};
  const std::array<const char*, 4> values = {directory.c_str(), port.c_str(), "postgres", nullptr};
  const SteadyTime deadline = steady_now() + start_deadline;
  while (steady_now() < deadline) {
    if (wait_for_exit(pid_, pidfd_, steady_now() + std::chrono::milliseconds{5})) {
      ::close(std::exchange(pidfd_, -1));
      pid_ = 0;
      return false;
    }
    if (PQpingParams(names.data(), values.data(), 0) == PQPING_OK) return true;
  }
  fail("PostgreSQL is not ready in time");
}

void PostgresServer::stop(PostgresStop how) {
  if (pid_ == 0) return;
  ::kill(pid_, how == PostgresStop::fast ? SIGINT : SIGQUIT);
  if (!wait_for_exit(pid_, pidfd_, steady_now() + std::chrono::seconds{20})) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::close(std::exchange(pidfd_, -1));
  pid_ = 0;
}

void PostgresServer::start() {
  if (pid_ != 0) return;
  for (int attempt = 0; attempt < 5; ++attempt) {
    spawn_postgres();
    if (wait_until_ready()) return;
  }
  fail("PostgreSQL does not start again");
}

void PostgresServer::restart(PostgresStop how) {
  stop(how);
  start();
}

pg::ServerSettings PostgresServer::server_settings(std::string database) const {
  return server_settings(std::move(database), superuser(), password_);
}

pg::ServerSettings PostgresServer::server_settings(std::string database, std::string user, std::string password) const {
  pg::ServerSettings settings;
  settings.hosts = {{.host = host(), .port = port_}};
  settings.user = std::move(user);
  settings.database = std::move(database);
  settings.tls = pg::TlsMode::disable;
  settings.password = [password = std::move(password)]() -> Result<SecretString> { return SecretString(password); };
  return settings;
}

namespace {

using ResultPointer = std::unique_ptr<PGresult, ClearResult>;

ResultPointer run_as_superuser(const PostgresServer& server, const std::string& sql, const std::string& database) {
  const std::string directory = server.socket_directory();
  const std::string port = std::to_string(server.port());
  const std::string user = server.superuser();
  const std::array<const char*, 7> names = {"host", "port", "dbname", "user", "password", "options", nullptr};
  const std::array<const char*, 7> values = {
      directory.c_str(),       port.c_str(), database.c_str(), user.c_str(), server.password().c_str(),
      "-c log_statement=none", nullptr};
  const std::unique_ptr<PGconn, FinishConnection> connection(PQconnectdbParams(names.data(), values.data(), 0));
  PQsetNoticeProcessor(connection.get(), [](void*, const char*) {}, nullptr);
  if (PQstatus(connection.get()) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(connection.get()));
  ResultPointer result(PQexec(connection.get(), sql.c_str()));
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY) {
    throw std::runtime_error(PQresultErrorMessage(result.get()));
  }
  return result;
}

}  // namespace

void PostgresServer::execute_as_superuser(const std::string& sql, const std::string& database) const {
  run_as_superuser(*this, sql, database);
}

std::string PostgresServer::query_as_superuser(const std::string& sql, const std::string& database) const {
  const ResultPointer result = run_as_superuser(*this, sql, database);
  return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
}

std::string PostgresServer::create_database(const std::string& prefix) {
  const std::string name = prefix + "_" + std::to_string(++databases_);
  execute_as_superuser("CREATE DATABASE " + name + " TEMPLATE template0");
  return name;
}

}  // namespace opi::test
