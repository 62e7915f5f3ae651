#pragma once
/// @file
/// Parts of a test that run in processes of their own: many at once, or one that dies.

#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace opi::test {

/// Runs `body` in `count` child processes at the same time, each with its number; the exit codes (128 + signal when one
/// was killed). The children share nothing but what is outside of them. Call it while this process has one thread.
inline std::vector<int> in_processes(int count, const std::function<int(int)>& body) {
  int gate[2];
  if (pipe(gate) != 0) throw std::runtime_error("pipe");
  std::vector<pid_t> children;
  for (int i = 0; i < count; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      close(gate[1]);
      char byte = 0;
      (void)!read(gate[0], &byte, 1);  // until all are there: the parent closes its end
      int code = 99;
      try {
        code = body(i);
      } catch (const std::exception& e) {
        (void)!write(2, e.what(), std::char_traits<char>::length(e.what()));
        (void)!write(2, "\n", 1);
      }
      _exit(code);
    }
    children.push_back(child);
  }
  close(gate[0]);
  close(gate[1]);
  std::vector<int> codes;
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    codes.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
  return codes;
}

/// The same for one.
inline int in_process(const std::function<int()>& body) {
  return in_processes(1, [&](int) { return body(); }).front();
}

}  // namespace opi::test
