// age on a large file, as whole processes beside the program age; and small SOPS files in this one.
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/resource.h>
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
#include "secrets/age.hpp"
#include "secrets/sops.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX does not declare it

namespace opi::bench {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t sops_files = 1'000;

/// A folder of its own that goes with the run.
class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "opi-bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = pattern;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  std::string file(const char* name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

struct Run {
  double seconds = 0;
  double peak_mb = 0;
};

/// A process from its start to its end, standard input and output redirected.
Run run(std::vector<std::string> command, const std::string& input, const std::string& output) {
  std::vector<char*> argv;
  for (std::string& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions{};
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, input.c_str(), O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const Stopwatch watch;
  pid_t pid = -1;
  const int failed = ::posix_spawnp(&pid, argv.front(), &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw std::runtime_error("cannot run " + command.front());
  int status = 0;
  rusage usage{};
  if (::wait4(pid, &status, 0, &usage) != pid || status != 0) throw std::runtime_error(command.front() + " failed");
  return {.seconds = watch.wall_seconds(), .peak_mb = static_cast<double>(usage.ru_maxrss) * 1024 / 1e6};
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

struct Series {
  std::vector<double> seconds;
  double peak_mb = 0;
  void add(const Run& run) {
    seconds.push_back(run.seconds);
    peak_mb = std::max(peak_mb, run.peak_mb);
  }
};

void report(const char* what, const Series& ours, const Series& theirs, std::int64_t megabytes) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < ours.seconds.size(); ++i) ratios.push_back(theirs.seconds[i] / ours.seconds[i]);
  JsonLine()
      .add("what", what)
      .add("mb", megabytes)
      .add("opi_s", median(ours.seconds))
      .add("age_s", median(theirs.seconds))
      .add("ratio", median(ratios))
      .add("ratio_min", *std::ranges::min_element(ratios))
      .add("ratio_max", *std::ranges::max_element(ratios))
      .add("opi_peak_mb", ours.peak_mb)
      .add("age_peak_mb", theirs.peak_mb)
      .print();
}

/// In turns, so that what disturbs one disturbs the other.
void measure_age(std::size_t megabytes, int rounds) {
  const Folder folder;
  const std::string opi = (fs::read_symlink("/proc/self/exe").parent_path() / "opi").string();
  const auto identity = secrets::AgeIdentity::generate();
  const std::string recipient = identity.recipient().to_string();
  std::ofstream(folder.file("key")) << identity.to_secret().reveal() << '\n';
  {
    std::ofstream plain(folder.file("plain"), std::ios::binary);
    std::string block(1'000'000, '\0');
    for (std::size_t i = 0; i < block.size(); ++i) block[i] = static_cast<char>(i * 131 >> 3U);
    for (std::size_t i = 0; i < megabytes; ++i) plain.write(block.data(), static_cast<std::streamsize>(block.size()));
  }
  Series our_encrypt;
  Series their_encrypt;
  Series our_decrypt;
  Series their_decrypt;
  for (int round = 0; round <= rounds; ++round) {
    const Run a = run({opi, "age", "encrypt", "-r", recipient}, folder.file("plain"), folder.file("ours"));
    const Run b = run({"age", "-r", recipient}, folder.file("plain"), folder.file("theirs"));
    const Run c = run({opi, "age", "decrypt", "-i", folder.file("key")}, folder.file("theirs"), folder.file("out"));
    const Run d = run({"age", "-d", "-i", folder.file("key")}, folder.file("ours"), folder.file("out"));
    if (round == 0) continue;  // warms caches
    our_encrypt.add(a);
    their_encrypt.add(b);
    our_decrypt.add(c);
    their_decrypt.add(d);
  }
  report("age encrypt", our_encrypt, their_encrypt, static_cast<std::int64_t>(megabytes));
  report("age decrypt", our_decrypt, their_decrypt, static_cast<std::int64_t>(megabytes));
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
