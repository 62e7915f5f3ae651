#pragma once
/// @file
/// Bounded child processes: no shell, own process group, limits on time and output.

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/secret_string.hpp"

namespace opi::aio {

/// What to start and its bounds.
struct Command {
  std::vector<std::string> argv;  ///< argv[0] is looked up on PATH of `environment`, else of ours. Never a secret.
  std::vector<std::string> environment;  ///< "NAME=value", the whole environment of the child; nothing is inherited
  /// More of the environment, for passwords: "NAME=value" each, wiped after the start. Readable in /proc by our own
  /// user.
  std::vector<SecretString> secret_environment = {};
  std::string directory = {};                 ///< working directory; empty: ours
  std::string input = {};                     ///< written to its standard input, then closed
  std::size_t output_max = 64U << 20U;        ///< bytes of standard output; more ends the child: ErrorKind::exhausted
  std::size_t error_output_max = 64U << 10U;  ///< of standard error; the rest is read and dropped
  std::chrono::milliseconds grace{2'000};     ///< between SIGTERM and SIGKILL to the process group
};

/// How it ended.
struct CommandResult {
  int exit_code = 0;  ///< 128 + signal when a signal ended it
  std::string output;
  std::string error_output;
};

/// Runs `command` to its end. A non-zero exit code is a value, not an error.
/// Errors: not_found (no such program), timed_out, cancelled, exhausted. In each of them the whole process group is
/// gone when this returns. The child gets default signal dispositions and dies with this process (PR_SET_PDEATHSIG
/// SIGKILL where the spawning thread allows). Cancellation ends the child.
Task<Result<CommandResult>> run_command(Command command, SteadyTime deadline);

/// The directory of PATH that holds `program`, joined with it; not_found otherwise.
Result<std::string> find_program(std::string_view program, std::string_view path);

}  // namespace opi::aio
