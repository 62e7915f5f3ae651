#include "support/fake_postgres.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <stdexcept>

namespace opi::test {
namespace wire {
namespace {

std::string number(std::uint32_t value) {
  const std::uint32_t raw = htonl(value);
  return {reinterpret_cast<const char*>(&raw), sizeof raw};
}
std::string short_number(std::uint16_t value) {
  const std::uint16_t raw = htons(value);
  return {reinterpret_cast<const char*>(&raw), sizeof raw};
}
std::string text(std::string_view value) {
  return std::string(value) + '\0';
}

}  // namespace

std::string message(char type, std::string_view body) {
  return type + number(static_cast<std::uint32_t>(body.size() + 4)) + std::string(body);
}
std::string authentication_ok() {
  return message('R', number(0));
}
std::string parameter(std::string_view name, std::string_view value) {
  return message('S', text(name) + text(value));
}
std::string backend_key(std::uint32_t pid, std::uint32_t secret) {
  return message('K', number(pid) + number(secret));
}
std::string ready(char status) {
  return message('Z', std::string(1, status));
}
std::string error(std::string_view sqlstate, std::string_view said, std::string_view severity) {
  return message('E', "S" + text(severity) + "V" + text(severity) + "C" + text(sqlstate) + "M" + text(said) + '\0');
}
std::string row_description() {
  constexpr std::uint32_t text_type = 25;
  return message('T', short_number(1) + text("value") + number(0) + short_number(0) + number(text_type) +
                          short_number(0xffff) + number(0xffff'ffff) + short_number(0));
}
std::string data_row(std::string_view value) {
  return message('D', short_number(1) + number(static_cast<std::uint32_t>(value.size())) + std::string(value));
}
std::string command_complete(std::string_view tag) {
  return message('C', text(tag));
}
std::string empty_query() {
  return message('I', {});
}
std::string logged_in() {
  return authentication_ok() + parameter("server_version", "15.20") + parameter("client_encoding", "UTF8") +
         parameter("standard_conforming_strings", "on") + backend_key(4'711, 42) + ready();
}
std::string row(std::string_view value) {
  return row_description() + data_row(value) + command_complete("SELECT 1");
}

}  // namespace wire

void FakeGate::open() {
  const std::scoped_lock lock(mutex_);
  open_ = true;
  opened_.notify_all();
}

int FakeGate::arrived() const {
  const std::scoped_lock lock(mutex_);
  return arrived_;
}

// ---- FakeSession ---------------------------------------------------------------------------------------------------

std::string FakeSession::read_exactly(std::size_t bytes) {
  std::string got(bytes, '\0');
  for (std::size_t at = 0; at < bytes;) {
    const ssize_t read = ::recv(socket_, got.data() + at, bytes - at, 0);
    if (read <= 0) throw Ended{};
    at += static_cast<std::size_t>(read);
  }
  return got;
}

namespace {

std::uint32_t number_at(const std::string& bytes, std::size_t at) {
  std::uint32_t raw = 0;
  std::copy_n(bytes.data() + at, sizeof raw, reinterpret_cast<char*>(&raw));
  return ntohl(raw);
}

constexpr std::size_t message_bytes_max = 64U << 20U;

}  // namespace

std::map<std::string, std::string> FakeSession::startup() {
  constexpr std::uint32_t cancel = 80'877'102;
  constexpr std::uint32_t tls = 80'877'103;
  constexpr std::uint32_t gss = 80'877'104;
  for (;;) {
    const std::uint32_t size = number_at(read_exactly(4), 0);
    if (size < 8 || size > message_bytes_max) throw Ended{};
    const std::string body = read_exactly(size - 4);
    const std::uint32_t code = number_at(body, 0);
    if (code == cancel) {
      ++server_->cancel_requests_;
      throw Ended{};
    }
    if (code == tls || code == gss) {
      send("N");
      continue;
    }
    std::map<std::string, std::string> parameters;
    for (std::size_t at = 4; at < body.size() && body[at] != '\0';) {
      const std::string name = body.c_str() + at;
      at += name.size() + 1;
      const std::string value = body.c_str() + at;
      at += value.size() + 1;
      parameters.emplace(name, value);
    }
    return parameters;
  }
}

void FakeSession::log_in() {
  (void)startup();
  send(wire::logged_in());
}

FakeMessage FakeSession::read() {
  const std::string head = read_exactly(5);
  const std::uint32_t size = number_at(head, 1);
  if (size < 4 || size > message_bytes_max) throw Ended{};
  return {.type = head[0], .body = read_exactly(size - 4)};
}

void FakeSession::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) throw Ended{};
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void FakeSession::send_in_bytes(std::string_view bytes) {
  for (std::size_t at = 0; at < bytes.size(); ++at) send(bytes.substr(at, 1));
}

void FakeSession::wait(FakeGate& gate) {
  std::unique_lock lock(gate.mutex_);
  ++gate.arrived_;
  while (!gate.open_) {
    if (server_->ending_) throw Ended{};
    gate.opened_.wait_for(lock, std::chrono::milliseconds(10));  // a server that ends knows no gates
  }
}

void FakeSession::serve(const Answer& answer) {
  std::string sql;
  const auto answer_to = [&](const std::string& text) {
    if (answer) return answer(text);
    return text.empty() ? wire::empty_query() : wire::row("1");
  };
  for (;;) {
    const FakeMessage message = read();
    switch (message.type) {
      case 'Q': send(answer_to(message.body.c_str()) + wire::ready()); break;
      case 'P':
        sql = message.body.c_str() + message.body.find('\0') + 1;
        send(wire::message('1', {}));
        break;
      case 'B': send(wire::message('2', {})); break;
      case 'E': send(answer_to(sql)); break;
      case 'S': send(wire::ready()); break;
      case 'X': return;
      default: break;
    }
  }
}

void FakeSession::stay_silent() {
  std::array<char, 4'096> ignored{};
  while (::recv(socket_, ignored.data(), ignored.size(), 0) > 0) {
  }
}

void FakeSession::close() noexcept {
  ::shutdown(socket_, SHUT_RDWR);
}

void FakeSession::reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  throw Ended{};
}

// ---- FakePostgres --------------------------------------------------------------------------------------------------

FakePostgres::FakePostgres(Script script) : script_(std::move(script)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (listener_ < 0 || ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener_, 256) != 0 || ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("a fake server cannot listen");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept(); });
}

FakePostgres::~FakePostgres() {
  ending_ = true;
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  ::close(listener_);
  {
    const std::scoped_lock lock(mutex_);
    for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
}

void FakePostgres::accept() {
  while (!ending_) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) continue;
    const int yes = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    const int number = connections_++;
    ++open_;
    const std::scoped_lock lock(mutex_);
    sockets_.push_back(socket);
    threads_.emplace_back([this, socket, number] { run(socket, number); });
  }
}

void FakePostgres::run(int socket, int number) {
  FakeSession session(this, socket, number);
  try {
    script_(session);
  } catch (const FakeSession::Ended&) {
    // Nobody to talk to.
  }
  {
    const std::scoped_lock lock(mutex_);
    std::erase(sockets_, socket);
    ::close(socket);
  }
  --open_;
}

}  // namespace opi::test
