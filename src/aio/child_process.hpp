#pragma once
/// @file
/// One child process in a process group of its own, with pipes; `run_command` is built on it.

#include <sys/types.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/result.hpp"
#include "base/secret_string.hpp"

namespace opi::aio {

/// Where a standard stream of the child leads.
enum class ChildStream {
  pipe,     ///< to us, through the descriptor of the same name
  nothing,  ///< /dev/null
  inherit,  ///< ours
};

/// What to start.
struct ChildSettings {
  std::vector<std::string> argv;  ///< argv[0] is looked up on PATH of `environment`, else of ours. Never a secret.
  std::vector<std::string> environment;  ///< "NAME=value", the whole environment of the child; nothing is inherited
  /// More of the environment, for passwords: "NAME=value" each, wiped after the start. Readable in /proc by our own
  /// user.
  std::vector<SecretString> secret_environment = {};
  std::string directory = {};  ///< working directory; empty: ours
  ChildStream input = ChildStream::pipe;
  ChildStream output = ChildStream::pipe;
  ChildStream error_output = ChildStream::pipe;
};

/// A running child.
///
/// The child leads a new process group, has default signal dispositions and an empty signal mask, inherits no
/// descriptor but its three streams, and is killed when the thread that started it ends (PR_SET_PDEATHSIG): start it
/// from a thread that lives as long as the process. Made with fork and exec, because posix_spawn cannot set the
/// parent-death signal. Ownership: whoever holds it; destroying a running child kills its group and reaps it (a short
/// blocking wait). Threading: one executor's thread. Cancellation: `wait` and `end` may be cancelled; the child is then
/// still there.
class ChildProcess {
 public:
  /// Errors: not_found (no such program or directory), denied, exhausted (processes, descriptors), internal.
  static Result<ChildProcess> start(const asio::any_io_executor& executor, ChildSettings settings);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();

  pid_t pid() const noexcept { return pid_; }
  /// Returns when the child has ended (it stays a zombie, so its group's number stays ours until `reap`).
  /// Errors: cancelled.
  Task<Result<>> wait();
  /// To every process of the group, as long as the child is not reaped.
  void signal_group(int signal) noexcept;
  /// After `wait`: ends what is left of the group and collects the exit code, 128 + signal when a signal ended it.
  int reap() noexcept;
  /// Asks the group to end with `first` (SIGTERM, or what the program takes for "now"), kills it after `grace`, reaps
  /// it and waits (at most a second more) until no process of the group is left. Gives the exit code. Shielded.
  Task<int> end(std::chrono::milliseconds grace, int first);

  /// Our ends of the pipes; closed unless the stream is `pipe`.
  asio::posix::stream_descriptor& input() noexcept { return input_; }
  asio::posix::stream_descriptor& output() noexcept { return output_; }
  asio::posix::stream_descriptor& error_output() noexcept { return error_output_; }

 private:
  ChildProcess(const asio::any_io_executor& executor, pid_t pid);
  Task<int> end_now(std::chrono::milliseconds grace, int first);

  pid_t pid_ = -1;
  std::optional<int> exit_code_;
  asio::posix::stream_descriptor pidfd_;
  asio::posix::stream_descriptor input_;
  asio::posix::stream_descriptor output_;
  asio::posix::stream_descriptor error_output_;
};

}  // namespace opi::aio
