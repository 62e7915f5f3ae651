#include "support/git_servers.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <stdexcept>

#include "aio/byte_stream.hpp"
#include "aio/subprocess.hpp"
#include "aio/tcp_listener.hpp"
#include "aio/with_deadline.hpp"
#include "support/in_time.hpp"
#include "support/run_coroutine.hpp"

namespace opi::test {

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

std::vector<std::string> clean_environment() {
  return {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/nonexistent", "LC_ALL=C",
          "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1"};
}

void write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::uint16_t free_port() {
  asio::io_context context;
  return aio::TcpListener::open(context.get_executor(), "127.0.0.1", 0).value().port();
}

aio::ChildProcess start(asio::io_context& context, std::vector<std::string> argv) {
  const std::string name = argv.front();
  auto child = aio::ChildProcess::start(context.get_executor(), {.argv = std::move(argv),
                                                                 .environment = clean_environment(),
                                                                 .input = aio::ChildStream::nothing,
                                                                 .output = aio::ChildStream::nothing,
                                                                 .error_output = aio::ChildStream::nothing});
  if (!child) throw std::runtime_error(name + ": " + child.error().to_string());
  return *std::move(child);
}

Task<bool> answers(std::uint16_t port, SteadyTime deadline) {
  while (std::chrono::steady_clock::now() < deadline) {
    if (co_await aio::connect_tcp(nullptr, "127.0.0.1", port, deadline)) co_return true;
    co_await aio::sleep_for(5ms);
  }
  co_return false;
}

std::string nginx_configuration(const fs::path& directory, const fs::path& repositories, std::uint16_t port,
                                std::uint16_t other_port) {
  return fmt::format(R"(daemon off;
{user}
error_log {dir}/error.log;
pid {dir}/nginx.pid;
events {{}}
http {{
  log_format seen '$server_port $request "$http_authorization" $status';
  access_log {dir}/access.log seen;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {dir}/cert.pem;
    ssl_certificate_key {dir}/key.pem;
    location /moved/ {{ return 301 http://127.0.0.1:{other}$request_uri; }}
    location / {{
      auth_basic git;
      auth_basic_user_file {dir}/users;
      fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
      fastcgi_param GIT_PROJECT_ROOT {root};
      fastcgi_param GIT_HTTP_EXPORT_ALL yes;
      fastcgi_param PATH_INFO $uri;
      fastcgi_param QUERY_STRING $query_string;
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param CONTENT_LENGTH $content_length;
      fastcgi_pass unix:{dir}/fcgi;
    }}
  }}
  server {{
    listen 127.0.0.1:{other};
    location / {{ return 404; }}
  }}
}}
)",
                     fmt::arg("user", ::geteuid() == 0 ? "user root;" : ""), fmt::arg("dir", directory.string()),
                     fmt::arg("root", repositories.string()), fmt::arg("port", port), fmt::arg("other", other_port));
}

std::string user_name() {
  const passwd* entry = ::getpwuid(::geteuid());  // NOLINT(concurrency-mt-unsafe)
  return entry != nullptr ? entry->pw_name : "root";
}

}  // namespace

std::string run_program(const std::vector<std::string>& argv, std::string input) {
  aio::Command command{.argv = argv, .environment = clean_environment(), .input = std::move(input)};
  const auto result = run_coroutine(aio::run_command(std::move(command), in(60s)));
  if (!result) throw std::runtime_error(argv.at(0) + ": " + result.error().to_string());
  if (result->exit_code != 0) throw std::runtime_error(argv.at(0) + ": " + result->error_output);
  return result->output;
}

HttpsGitServer::HttpsGitServer(const fs::path& repositories, fs::path directory) : directory_(std::move(directory)) {
  fs::create_directories(directory_);
  run_program({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
               "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
               (directory_ / "key.pem").string(), "-out", (directory_ / "cert.pem").string()});
  write(directory_ / "users", "bot:{PLAIN}hush\n");
  backend_.emplace(start(context_, {"fcgiwrap", "-s", "unix:" + (directory_ / "fcgi").string()}));
  for (int attempt = 0; attempt < 5; ++attempt) {
    port_ = free_port();
    other_port_ = free_port();
    write(directory_ / "nginx.conf", nginx_configuration(directory_, repositories, port_, other_port_));
    nginx_.emplace(start(context_, {"nginx", "-p", directory_.string(), "-c", (directory_ / "nginx.conf").string(),
                                    "-e", (directory_ / "error.log").string()}));
    if (run_coroutine(context_, answers(port_, in(10s)))) return;
    (void)run_coroutine(context_, nginx_->end(1s, SIGTERM));
    nginx_.reset();
  }
  throw std::runtime_error("nginx does not answer: " + read(directory_ / "error.log"));
}

HttpsGitServer::~HttpsGitServer() {
  if (nginx_) (void)run_coroutine(context_, nginx_->end(2s, SIGTERM));
  if (backend_) (void)run_coroutine(context_, backend_->end(2s, SIGTERM));
}

std::string HttpsGitServer::url(const std::string& name) const {
  return fmt::format("https://localhost:{}/{}", port_, name);
}

std::string HttpsGitServer::moved_url(const std::string& name) const {
  return fmt::format("https://localhost:{}/moved/{}", port_, name);
}

std::string HttpsGitServer::log() const {
  return read(directory_ / "access.log");
}

SshGitServer::SshGitServer(fs::path directory) : directory_(std::move(directory)) {
  fs::create_directories(directory_);
  for (const char* name : {"host", "key", "other"})
    run_program({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", (directory_ / name).string()});
  write(directory_ / "authorized", read(directory_ / "key.pub"));
  if (::geteuid() == 0) fs::create_directories("/run/sshd");  // where sshd of root separates its privileges
  for (int attempt = 0; attempt < 5; ++attempt) {
    port_ = free_port();
    write(directory_ / "sshd_config",
          fmt::format("Port {}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n"
                      "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\n"
                      "PermitRootLogin prohibit-password\n",
                      port_, (directory_ / "host").string(), (directory_ / "authorized").string()));
    write(known_hosts_file(), fmt::format("[127.0.0.1]:{} {}", port_, read(directory_ / "host.pub")));
    write(wrong_known_hosts_file(), fmt::format("[127.0.0.1]:{} {}", port_, read(directory_ / "other.pub")));
    sshd_.emplace(start(context_, {"/usr/sbin/sshd", "-D", "-f", (directory_ / "sshd_config").string(), "-E",
                                   (directory_ / "log").string()}));
    if (run_coroutine(context_, answers(port_, in(10s)))) return;
    (void)run_coroutine(context_, sshd_->end(1s, SIGTERM));
    sshd_.reset();
  }
  throw std::runtime_error("sshd does not answer: " + read(directory_ / "log"));
}

SshGitServer::~SshGitServer() {
  if (sshd_) (void)run_coroutine(context_, sshd_->end(2s, SIGTERM));
}

std::string SshGitServer::url(const fs::path& repository) const {
  return fmt::format("ssh://{}@127.0.0.1:{}{}", user_name(), port_, repository.string());
}

}  // namespace opi::test
