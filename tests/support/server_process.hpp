#pragma once
/// @file
/// Starts and ends the programs of servers that tests run, as the user that they may run as.

#include <sys/types.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"

namespace opi::test {

/// Closes a descriptor when it goes.
class Descriptor {
 public:
  explicit Descriptor(int descriptor) noexcept : descriptor_(descriptor) {}
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const noexcept { return descriptor_; }
  int release() noexcept { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

std::string read_text(const std::filesystem::path& path);

bool as_root();
/// Root's servers run as the user `postgres`: its program refuses root. Throws where there is none.
void give_to_server_user(const std::filesystem::path& path);
/// The command as that user, ended when whoever starts it is gone.
std::vector<std::string> as_server_user(std::vector<std::string> command);

/// Starts a program with default signals in its own process group; `input` becomes its standard input (-1: nothing),
/// `output` its output.
pid_t spawn(const std::vector<std::string>& command, int input, const std::filesystem::path& output);
int open_pidfd(pid_t pid);
/// Waits for a child; nullopt when it still runs at the deadline.
std::optional<int> wait_for_exit(pid_t pid, int pidfd, SteadyTime deadline);
/// Throws with its output when it fails or takes a minute.
void run_to_end(const std::vector<std::string>& command, const std::filesystem::path& output);

}  // namespace opi::test
