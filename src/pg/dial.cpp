#include "pg/dial.hpp"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>

#include "aio/with_deadline.hpp"
#include "pg/server_error.hpp"

namespace opi::pg {
namespace {

constexpr const char* system_ca_file = "/etc/ssl/certs/ca-certificates.crt";

const char* mode_name(TlsMode mode) noexcept {
  switch (mode) {
    case TlsMode::disable: return "disable";
    case TlsMode::prefer: return "prefer";
    case TlsMode::require: return "require";
    case TlsMode::verify_ca: return "verify-ca";
    case TlsMode::verify_full: return "verify-full";
  }
  return "verify-full";
}

const char* binding_name(ChannelBinding binding) noexcept {
  switch (binding) {
    case ChannelBinding::disable: return "disable";
    case ChannelBinding::prefer: return "prefer";
    case ChannelBinding::require: return "require";
  }
  return "require";
}

/// One word of libpq's `options`: white space and backslashes are escaped (pg_split_opts).
void add_option(std::string& options, std::string_view name, std::string_view value) {
  if (!options.empty()) options += ' ';
  options += "-c ";
  options += name;
  options += '=';
  for (const char character : value) {
    if (character == '\\' || character == ' ' || (character >= '\t' && character <= '\r')) options += '\\';
    options += character;
  }
}

/// Borrows libpq's socket for one wait and gives it back: libpq may close and reopen it at its next step.
class BorrowedSocket {
 public:
  BorrowedSocket(const asio::any_io_executor& executor, int descriptor) : descriptor_(executor, descriptor) {}
  ~BorrowedSocket() {
    try {
      descriptor_.release();
    } catch (const std::exception&) {
      // Not known to the reactor any more.
    }
  }
  BorrowedSocket(const BorrowedSocket&) = delete;
  BorrowedSocket& operator=(const BorrowedSocket&) = delete;
  asio::posix::stream_descriptor& operator*() noexcept { return descriptor_; }

 private:
  asio::posix::stream_descriptor descriptor_;
};

using Keywords = std::vector<std::pair<std::string, std::string>>;

void ignore_notice(void* /*context*/, const PGresult* /*notice*/) {}

/// Looks up names: then on the blocking pool.
ConnectionHandle start_connection(const Keywords& keywords, const SecretString& password) {
  std::vector<const char*> names;
  std::vector<const char*> values;
  for (const auto& [name, value] : keywords) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  if (!password.empty()) {
    names.push_back("password");
    values.push_back(password.reveal_c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  ConnectionHandle handle(PQconnectStartParams(names.data(), values.data(), 0), &PQfinish);
  if (handle) {
    PQsetNoticeReceiver(handle.get(), ignore_notice, nullptr);
    PQsetErrorVerbosity(handle.get(), PQERRORS_VERBOSE);  // so that a refusal carries its SQLSTATE
  }
  return handle;
}

struct StartConnection {
  Keywords keywords;
  std::shared_ptr<const SecretString> password;
  bool looks_up = true;     ///< the host is a name
  bool may_encrypt = true;  ///< by TLS
  ConnectionHandle operator()() const { return start_connection(keywords, *password); }
};

bool is_unix_socket(const HostPort& host) noexcept {
  return host.host.starts_with('/') || host.host.starts_with('@');
}

bool is_looked_up(const HostPort& host) {
  boost::system::error_code is_a_name;
  if (!is_unix_socket(host)) asio::ip::make_address(host.host, is_a_name);
  return static_cast<bool>(is_a_name);
}

/// Owns the connection with us, for it may be left to finish alone.
struct PollConnection {
  ConnectionHandle handle;
  PostgresPollingStatusType operator()() const { return PQconnectPoll(handle.get()); }
};

/// Whether what the server says first is AuthenticationOk: it asks for no proof.
bool lets_us_in(int descriptor) noexcept {
  constexpr std::array<unsigned char, 9> authentication_ok = {'R', 0, 0, 0, 8, 0, 0, 0, 0};
  std::array<unsigned char, authentication_ok.size()> said{};
  const ssize_t size = ::recv(descriptor, said.data(), said.size(), MSG_PEEK | MSG_DONTWAIT);
  return size == static_cast<ssize_t>(said.size()) && said == authentication_ok;
}

/// Whether libpq's next step may take long: TLS reads files and computes, SCRAM derives keys as often as the server
/// says, Kerberos asks the network. There is none of it before the startup packet has been sent, nor once the server
/// has let us in. `heard`: libpq may hold some of what the server said, which we do not see.
bool may_take_long(PGconn* connection, bool may_encrypt, bool heard) noexcept {
  if (may_encrypt) return true;
  switch (PQstatus(connection)) {
    case CONNECTION_STARTED:
    case CONNECTION_MADE:
    case CONNECTION_AUTH_OK: return false;
    case CONNECTION_AWAITING_RESPONSE: return heard || !lets_us_in(PQsocket(connection));
    default: return true;
  }
}

Task<Result<Dialed>> dial_host(asio::any_io_executor executor, StartConnection start, std::string peer,
                               aio::BlockingPool* blocking) {
  const bool may_encrypt = start.may_encrypt;
  ConnectionHandle handle;
  if (start.looks_up) {
    handle = co_await blocking->run_abandonable(std::move(start));
  } else {
    handle = start();
  }
  bool heard = false;
  if (!handle || PQstatus(handle.get()) == CONNECTION_BAD) co_return failure(error_of_dial(handle.get(), peer));
  // "If PQconnectStart succeeds, behave as if PQconnectPoll had last returned PGRES_POLLING_WRITING" (libpq's manual).
  PostgresPollingStatusType next = PGRES_POLLING_WRITING;
  while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
    const int descriptor = PQsocket(handle.get());
    if (descriptor < 0) co_return failure(error_of_dial(handle.get(), peer));
    {
      BorrowedSocket socket(executor, descriptor);
      const auto wanted = next == PGRES_POLLING_READING ? asio::posix::stream_descriptor::wait_read
                                                        : asio::posix::stream_descriptor::wait_write;
      const auto [error] = co_await (*socket).async_wait(wanted, as_result);
      if (error) co_return failure(ErrorKind::cancelled, "connecting to " + peer + " was cancelled");
    }
    const bool hears = next == PGRES_POLLING_READING;
    if (may_take_long(handle.get(), may_encrypt, heard)) {
      next = co_await blocking->run_abandonable(PollConnection{handle});
    } else {
      next = PQconnectPoll(handle.get());
    }
    heard = heard || hears;
  }
  if (next != PGRES_POLLING_OK) co_return failure(error_of_dial(handle.get(), peer));
  PQsetErrorVerbosity(handle.get(), PQERRORS_DEFAULT);
  if (PQsetnonblocking(handle.get(), 1) != 0) co_return failure(error_of_loss(handle.get(), peer));
  co_return Dialed{.handle = std::move(handle), .peer = std::move(peer)};
}

using SharedSecret = std::shared_ptr<const SecretString>;

/// On the blocking pool.
struct AskPassword {
  PasswordProvider provider;
  Result<SharedSecret> operator()() const {
    try {
      Result<SecretString> password = provider();
      if (!password) return failure(std::move(password.error()));
      if (password->reveal().contains('\0')) return failure(ErrorKind::invalid, "the password holds a NUL byte");
      return std::make_shared<const SecretString>(std::move(*password));
    } catch (const std::exception& error) {
      return failure(ErrorKind::internal, error.what());
    }
  }
};

Task<Result<SharedSecret>> ask_password(PasswordProvider provider, aio::BlockingPool* blocking) {
  if (!provider) co_return std::make_shared<const SecretString>();
  co_return co_await blocking->run_abandonable(AskPassword{std::move(provider)});
}

std::string timeout_text(std::string_view peer, SteadyTime since) {
  const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - since;
  return fmt::format("no answer from {} within {:.1f} s", peer, waited.count());
}

}  // namespace

Keywords connection_keywords(const ServerSettings& server, const HostPort& host) {
  std::string options;
  for (const auto& [name, value] : startup_pins(server)) {
    if (name != "client_encoding") add_option(options, name, value);  // libpq has a keyword for it
  }
  for (const auto& [name, value] : server.options) add_option(options, name, value);
  Keywords keywords = {
      {"host", host.host},
      {"port", std::to_string(host.port)},
      {"user", server.user},
      {"dbname", server.database},
      {"application_name", server.application_name},
      {"client_encoding", "UTF8"},
      {"options", std::move(options)},
      {"sslmode", mode_name(server.tls)},
      {"channel_binding", binding_name(server.channel_binding)},
      {"gssencmode", "disable"},
      {"target_session_attrs", "any"},
      {"passfile", "/dev/null/none"},  // no file; an empty value would mean ~/.pgpass
      {"keepalives", "1"},
      {"keepalives_idle", "60"},
      {"keepalives_interval", "10"},
      {"keepalives_count", "3"},
      {"tcp_user_timeout",
       "30000"},  // a peer that acknowledges nothing for so long is gone; bounds cancel requests too
  };
  const bool verifies = server.tls == TlsMode::verify_ca || server.tls == TlsMode::verify_full;
  if (!server.tls_ca_file.empty()) {
    keywords.emplace_back("sslrootcert", server.tls_ca_file);
  } else if (verifies) {
    keywords.emplace_back("sslrootcert", system_ca_file);
  }
  return keywords;
}

Task<Result<Dialed>> dial(asio::any_io_executor executor, ServerSettings server, HostPort host,
                          aio::BlockingPool* blocking, SteadyTime deadline) {
  if (auto valid = validate(server); !valid) co_return failure(std::move(valid.error()));
  const std::string peer = to_string(host);
  const SteadyTime begun = std::chrono::steady_clock::now();
  auto password = co_await aio::with_deadline(ask_password(server.password, blocking), deadline,
                                              "the password provider did not answer in time");
  if (!password) {
    Error error = std::move(password.error());
    if (error.kind != ErrorKind::cancelled) error.kind = ErrorKind::unavailable;
    error.code.clear();  // it says nothing of the host
    co_return failure(std::move(error).while_doing("no password for " + peer));
  }
  StartConnection start{.keywords = connection_keywords(server, host),
                        .password = *password,
                        .looks_up = is_looked_up(host),
                        .may_encrypt = server.tls != TlsMode::disable && !is_unix_socket(host)};
  Result<Dialed> dialed =
      co_await aio::with_deadline(dial_host(executor, std::move(start), peer, blocking), deadline, peer);
  if (!dialed && dialed.error().kind == ErrorKind::timed_out && dialed.error().code.empty()) {
    dialed.error().message = timeout_text(peer, begun);
  }
  co_return dialed;
}

}  // namespace opi::pg
