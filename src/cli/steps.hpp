#pragma once
/// @file
/// Steps that take a while, as a person sees them: a line that says what runs, then how it ended and how long it took.

#include <chrono>
#include <ostream>
#include <string>
#include <string_view>

namespace opi::cli {

/// "413 ms", "41.2 s", "4 m 51 s".
std::string duration_text(std::chrono::nanoseconds duration);

/// Whether a terminal reads `fd` and NO_COLOR is not set.
bool colours_wanted(int fd);
bool is_terminal(int fd);

/// Prints steps, one at a time. On a terminal the running step is shown and then overwritten by its end; in a pipe each
/// step is one plain line at its end. Not synchronised.
class Steps {
 public:
  Steps(std::ostream& out, bool terminal) : out_(&out), terminal_(terminal) {}
  void begin(std::string name, std::string text);
  /// `text` replaces what `begin` said when it is not empty.
  void end(std::string_view verdict, std::string text = {});
  /// The running step failed: its line ends with "failed".
  void fail() { end("failed"); }

 private:
  std::ostream* out_;
  bool terminal_;
  bool running_ = false;
  std::string name_;
  std::string text_;
  std::chrono::steady_clock::time_point began_{};
};

}  // namespace opi::cli
