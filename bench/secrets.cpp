// age on a large file, as whole processes beside the program age; and small SOPS files in this one.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/measurement.hpp"
#include "bench/subcommands.hpp"
#include "bench/temporary_folder.hpp"
#include "secrets/age.hpp"
#include "secrets/sops.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX does not declare it

namespace opi::bench {
namespace {

constexpr std::size_t sops_files = 1'000;

/// A process, standard input and output redirected.
pid_t start(std::vector<std::string> command, const std::string& input, const std::string& output) {
  std::vector<char*> argv;
  for (std::string& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions{};
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, input.c_str(), O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t pid = -1;
  const int failed = ::posix_spawnp(&pid, argv.front(), &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw std::runtime_error("cannot run " + command.front());
  return pid;
}

struct Run {
  std::vector<std::string> command;
  std::string input, output;

  /// From its start to its end, in seconds.
  double seconds() const {
    const Stopwatch watch;
    int status = 0;
    if (::waitpid(start(command, input, output), &status, 0) < 0 || status != 0)
      throw std::runtime_error(command.front() + " failed");
    return watch.wall_seconds();
  }
  /// The most resident memory it ever had, libraries included. What wait4 says would begin with what this process had.
  double peak_mb() const {
    const pid_t pid = start(command, input, output);
    pollfd ended{.fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)), .events = POLLIN, .revents = 0};
    double peak = 0;
    int status = 0;
    while (::waitpid(pid, &status, WNOHANG) == 0) {
      std::ifstream file(fmt::format("/proc/{}/status", pid));
      for (std::string line; std::getline(file, line);)
        if (line.starts_with("VmHWM:")) peak = std::max(peak, std::strtod(line.c_str() + 6, nullptr) * 1024 / 1e6);
      ::poll(&ended, 1, 2);
    }
    ::close(ended.fd);
    if (status != 0) throw std::runtime_error(command.front() + " failed");
    return peak;
  }
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// Ours and theirs in turns, so that what disturbs one disturbs the other; memory in a turn of its own.
void compare(const char* what, std::size_t megabytes, int rounds, const Run& ours, const Run& theirs) {
  std::vector<double> our_seconds, their_seconds, ratios;
  const double our_peak = ours.peak_mb();  // warms caches, too
  const double their_peak = theirs.peak_mb();
  for (int round = 0; round < rounds; ++round) {
    our_seconds.push_back(ours.seconds());
    their_seconds.push_back(theirs.seconds());
    ratios.push_back(their_seconds.back() / our_seconds.back());
  }
  JsonLine()
      .add("what", what)
      .add("mb", static_cast<std::int64_t>(megabytes))
      .add("opi_s", median(our_seconds))
      .add("age_s", median(their_seconds))
      .add("ratio", median(ratios))
      .add("ratio_min", *std::ranges::min_element(ratios))
      .add("ratio_max", *std::ranges::max_element(ratios))
      .add("opi_peak_mb", our_peak)
      .add("age_peak_mb", their_peak)
      .print();
}

void measure_age(std::size_t megabytes, int rounds) {
  const TemporaryFolder folder;
  const std::string opi = (fs::read_symlink("/proc/self/exe").parent_path() / "opi").string();
  const auto identity = secrets::AgeIdentity::generate();
  const std::string recipient = identity.recipient().to_string();
  std::ofstream(folder / "key") << identity.to_secret().reveal() << '\n';
  {
    std::ofstream plain(folder / "plain", std::ios::binary);
    std::string block(1'000'000, '\0');
    for (std::size_t i = 0; i < block.size(); ++i) block[i] = static_cast<char>(i * 131 >> 3U);
    for (std::size_t i = 0; i < megabytes; ++i) plain.write(block.data(), static_cast<std::streamsize>(block.size()));
  }
  compare("age encrypt", megabytes, rounds,
          {{opi, "age", "encrypt", "-r", recipient}, folder / "plain", folder / "ours"},
          {{"age", "-r", recipient}, folder / "plain", folder / "theirs"});
  compare("age decrypt", megabytes, rounds,
          {{opi, "age", "decrypt", "-i", folder / "key"}, folder / "theirs", folder / "out"},
          {{"age", "-d", "-i", folder / "key"}, folder / "ours", folder / "out"});
}

void measure_sops() {
  namespace sops = secrets::sops;
  const auto identity = secrets::AgeIdentity::generate();
  const sops::EncryptOptions options{.recipients = std::span(&identity.recipient(), 1)};
  std::vector<std::string> files;
  for (std::size_t i = 0; i < sops_files; ++i) {
    const std::string text = fmt::format(
        "apiVersion: v1\nkind: Secret\nmetadata:\n    name: app-{0}\n    namespace: team-{0}\ntype: "
        "Opaque\nstringData:\n"
        "    DATABASE_SERVER_HOST: db.internal\n    DATABASE_SERVER_PORT: \"5432\"\n    DATABASE_DB: shop_{0}\n"
        "    DATABASE_SERVER_USER: shop_{0}__a\n    DATABASE_PASSWORD: password-{0}\n",
        i);
    auto file = sops::encrypt(text, sops::Format::yaml, options);
    if (!file) throw std::runtime_error(file.error().to_string());
    files.push_back(std::move(*file));
  }
  Durations each(files.size());
  const Stopwatch watch;
  for (const std::string& file : files) {
    const auto start = std::chrono::steady_clock::now();
    const auto plain = sops::decrypt(file, sops::Format::yaml, {.identities = std::span(&identity, 1)});
    if (!plain) throw std::runtime_error(plain.error().to_string());
    each.add(std::chrono::steady_clock::now() - start);
  }
  JsonLine()
      .add("what", "sops decrypt")
      .add("files", static_cast<std::int64_t>(files.size()))
      .add("ms_each", watch.wall_ms() / static_cast<double>(files.size()))
      .add("cpu_ms_each", watch.cpu_seconds() * 1e3 / static_cast<double>(files.size()))
      .add("p50_us", each.quantile_us(0.5))
      .add("p99_us", each.quantile_us(0.99))
      .print();
}

int number(std::string_view text) {
  int value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  return problem == std::errc{} && end == text.data() + text.size() ? value : 0;
}

}  // namespace

int secrets_and_files(Arguments arguments) {
  const int megabytes = arguments.empty() ? 256 : number(arguments[0]);
  const int rounds = arguments.size() < 2 ? 3 : number(arguments[1]);
  if (arguments.size() > 2 || megabytes < 1 || rounds < 1) return exit_usage;
  measure_age(static_cast<std::size_t>(megabytes), rounds);
  measure_sops();
  return 0;
}

}  // namespace opi::bench
