#include "cli/steps.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

namespace opi::cli {

std::string duration_text(std::chrono::nanoseconds duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  if (seconds < 1.0) return fmt::format("{:.0f} ms", seconds * 1'000);
  if (seconds < 60.0) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<long>(seconds);
  return fmt::format("{} m {} s", whole / 60, whole % 60);
}

bool is_terminal(int fd) {
  return ::isatty(fd) == 1;
}

bool colours_wanted(int fd) {
  return is_terminal(fd) && std::getenv("NO_COLOR") == nullptr;
}

void Steps::begin(std::string name, std::string text) {
  name_ = std::move(name);
  text_ = std::move(text);
  began_ = std::chrono::steady_clock::now();
  running_ = true;
  if (terminal_) *out_ << fmt::format("  {:<12} {} …", name_, text_) << std::flush;
}

void Steps::end(std::string_view verdict, std::string text) {
  if (!running_) return;
  running_ = false;
  if (!text.empty()) text_ = std::move(text);
  if (terminal_) *out_ << "\r\x1b[K";
  *out_ << fmt::format("  {:<12} {:<56} {:<7} {}\n", name_, text_, verdict,
                       duration_text(std::chrono::steady_clock::now() - began_))
        << std::flush;
}

}  // namespace opi::cli
