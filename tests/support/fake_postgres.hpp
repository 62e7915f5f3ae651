#pragma once
/// @file
/// A PostgreSQL server that does exactly what a test scripts, byte for byte.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace opi::test {

/// The server's messages of protocol 3.0 (PostgreSQL's manual, "Message Formats").
namespace wire {
std::string message(char type, std::string_view body);
std::string authentication_ok();
std::string parameter(std::string_view name, std::string_view value);
std::string backend_key(std::uint32_t pid, std::uint32_t secret);
/// `status`: I idle, T in a transaction, E in a failed one.
std::string ready(char status = 'I');
std::string error(std::string_view sqlstate, std::string_view text, std::string_view severity = "ERROR");
/// One column of type text, named "value".
std::string row_description();
std::string data_row(std::string_view value);
std::string command_complete(std::string_view tag);
std::string empty_query();
/// All that follows a startup packet when nobody is asked for a password.
std::string logged_in();
/// One row, one text: description, row and completion.
std::string row(std::string_view value);
}  // namespace wire

/// A door that a script waits at until the test opens it. Threading: any.
class FakeGate {
 public:
  void open();
  /// How many scripts have come to it.
  int arrived() const;

 private:
  friend class FakeSession;
  mutable std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
  int arrived_ = 0;
};

/// A message of the client: its type and what follows the length.
struct FakeMessage {
  char type = 0;
  std::string body;
};

/// One connection in the hands of its script. A function that needs a client that is gone, or a server that is ending,
/// ends the script.
class FakeSession {
 public:
  /// Connections before this one; requests to cancel count like any other.
  int number() const noexcept { return number_; }
  /// Says no to encryption and returns the startup parameters. A request to cancel is counted and ends the script.
  std::map<std::string, std::string> startup();
  /// The startup, and everyone is let in.
  void log_in();
  FakeMessage read();
  void send(std::string_view bytes);
  /// One byte at a time.
  void send_in_bytes(std::string_view bytes);
  void wait(FakeGate& gate);
  /// What a server answers to one statement, without ReadyForQuery.
  using Answer = std::function<std::string(const std::string& sql)>;
  /// Runs statements (simple and extended protocol) until the client says goodbye. Without an answer each is one row
  /// "1", and what has no text is empty.
  void serve(const Answer& answer = {});
  /// Takes in everything, says nothing.
  void stay_silent();
  /// Ends the connection: in order, or as a crash does (RST).
  void close() noexcept;
  [[noreturn]] void reset();

 private:
  friend class FakePostgres;
  struct Ended {};
  FakeSession(class FakePostgres* server, int socket, int number) noexcept
      : server_(server), socket_(socket), number_(number) {}
  std::string read_exactly(std::size_t bytes);
  FakePostgres* server_;
  int socket_;
  int number_;
};

/// Listens on a port of its own; each connection runs the script on a thread of its own.
/// Threading: any. Ownership: ends its threads and sockets when destroyed; gates outlive it.
class FakePostgres {
 public:
  using Script = std::function<void(FakeSession&)>;
  explicit FakePostgres(Script script);
  ~FakePostgres();
  FakePostgres(const FakePostgres&) = delete;
  FakePostgres& operator=(const FakePostgres&) = delete;

  std::uint16_t port() const noexcept { return port_; }
  /// Connections so far, requests to cancel among them.
  int connections() const noexcept { return connections_.load(); }
  int cancel_requests() const noexcept { return cancel_requests_.load(); }
  /// Connections whose script has not ended.
  int open() const noexcept { return open_.load(); }

 private:
  friend class FakeSession;
  void accept();
  void run(int socket, int number);

  Script script_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> ending_ = false;
  std::atomic<int> connections_ = 0, cancel_requests_ = 0, open_ = 0;
  std::mutex mutex_;
  std::vector<int> sockets_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

/// Everyone is let in and every statement is answered.
inline FakePostgres::Script friendly_server() {
  return [](FakeSession& session) {
    session.log_in();
    session.serve();
  };
}

}  // namespace opi::test
