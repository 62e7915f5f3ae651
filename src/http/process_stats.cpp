#include "http/process_stats.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

namespace opi::http {

namespace {

std::string read_proc(const char* path) {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  std::string text(16U << 10U, '\0');
  const ssize_t got = ::read(file, text.data(), text.size());
  ::close(file);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> result;
  while (!text.empty()) {
    const auto end = text.find_first_of(" \n");
    if (end != 0) result.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return result;
}

/// When the machine booted, in seconds since the epoch: the "btime" line of /proc/stat.
std::uint64_t boot_time() {
  const std::string text = read_proc("/proc/stat");
  const auto at = text.find("\nbtime ");
  return at == std::string::npos ? 0 : number(std::string_view(text).substr(at + 7));
}

std::uint64_t count_descriptors() {
  DIR* folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  std::uint64_t entries = 0;
  while (::readdir(folder) != nullptr) ++entries;
  ::closedir(folder);
  return entries > 3 ? entries - 3 : 0;  // ".", ".." and the one that reads
}

}  // namespace

ProcessStats process_stats() noexcept {
  ProcessStats stats;
  const std::string text = read_proc("/proc/self/stat");
  // The second field is the program's name in parentheses, and may hold anything.
  const auto close = text.rfind(')');
  if (close == std::string::npos) return stats;
  const auto fields = words(std::string_view(text).substr(close + 1));
  constexpr std::size_t first = 3;  // proc(5) counts from 1, and two fields were cut
  const auto field = [&fields](std::size_t index) {
    return index - first < fields.size() ? number(fields[index - first]) : 0;
  };
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  stats.cpu_seconds = static_cast<double>(field(14) + field(15)) / ticks;
  stats.threads = field(20);
  stats.start_time_seconds = static_cast<double>(boot_time()) + static_cast<double>(field(22)) / ticks;
  stats.virtual_bytes = field(23);
  stats.resident_bytes = field(24) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  stats.open_descriptors = count_descriptors();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) stats.max_descriptors = limit.rlim_cur;
  return stats;
}

}  // namespace opi::http
