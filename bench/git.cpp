// What following a repository costs, beside the git program by itself.
#include <fmt/format.h>
#include <sys/resource.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <charconv>
#include <chrono>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "aio/subprocess.hpp"
#include "bench/measurement.hpp"
#include "bench/subcommands.hpp"
#include "bench/temporary_folder.hpp"
#include "git/change_tracker.hpp"
#include "git/mirror.hpp"

namespace opi::bench {

namespace {

using namespace std::chrono_literals;

SteadyTime soon() {
  return std::chrono::steady_clock::now() + 60s;
}

/// User and system time of this process and of all children that it has collected.
double cpu_ms() {
  double sum = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    ::getrusage(who, &usage);
    for (const timeval& part : {usage.ru_utime, usage.ru_stime})
      sum += static_cast<double>(part.tv_sec) * 1e3 + static_cast<double>(part.tv_usec) / 1e3;
  }
  return sum;
}

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().to_string());
  return *std::move(result);
}

/// git by itself, as a script would call it.
Task<std::string> bare_git(std::vector<std::string> arguments, std::string input = {}) {
  aio::Command command{.argv = {"git"},
                       .environment = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/nonexistent", "LC_ALL=C",
                                       "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1"},
                       .input = std::move(input)};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  auto ended = must(co_await aio::run_command(std::move(command), soon()));
  if (ended.exit_code != 0) throw std::runtime_error("git " + arguments.front() + ": " + ended.error_output);
  co_return std::move(ended.output);
}

/// A commit of files `from` to `to` with one content each, on top of main when there is one.
Task<> commit(std::string repository, int from, int to, std::string content, bool first) {
  std::string stream = "commit refs/heads/main\ncommitter Bench <bench@example.org> 1700000000 +0000\ndata 1\nx\n";
  if (!first) stream += "from refs/heads/main^0\n";
  for (int i = from; i < to; ++i) {
    const std::string text = fmt::format("name: p{}\n{}\n", i, content);
    stream += fmt::format("M 100644 inline projects/p{}.yaml\ndata {}\n{}\n", i, text.size(), text);
  }
  co_await bare_git({"--git-dir", repository, "fast-import", "--quiet", "--force"}, std::move(stream));
}

git::MirrorSettings mirror_of(const TemporaryFolder& folder, int files) {
  git::MirrorSettings settings;
  settings.url = "file://" + folder / "source.git";
  settings.directory = folder / "mirror";
  settings.limits.files_max = static_cast<std::size_t>(files) + 1;
  return settings;
}

/// Checks of an unchanged repository, each beside one bare `git ls-remote`.
Task<> idle(int checks) {
  const TemporaryFolder folder;
  const std::string source = folder / "source.git";
  co_await bare_git({"init", "--quiet", "--bare", "--initial-branch=main", "--", source});
  co_await commit(source, 0, 100, "1", true);
  git::Mirror mirror(mirror_of(folder, 100), Logger());
  must(co_await mirror.remote_heads(soon()));
  double ours = 0, bare = 0;
  Durations our_times(static_cast<std::size_t>(checks)), bare_times(static_cast<std::size_t>(checks));
  for (int i = 0; i < checks; ++i) {
    const double before = cpu_ms();
    const Stopwatch our_clock;
    must(co_await mirror.remote_heads(soon()));
    our_times.add(std::chrono::nanoseconds(static_cast<std::int64_t>(our_clock.wall_seconds() * 1e9)));
    const double between = cpu_ms();
    const Stopwatch bare_clock;
    co_await bare_git({"ls-remote", "--quiet", "--", "file://" + source, "refs/heads/main"});
    bare_times.add(std::chrono::nanoseconds(static_cast<std::int64_t>(bare_clock.wall_seconds() * 1e9)));
    ours += between - before;
    bare += cpu_ms() - between;
  }
  const auto statistics = mirror.statistics();
  co_await mirror.close();
  JsonLine()
      .add("what", "idle")
      .add("checks", static_cast<std::int64_t>(checks))
      .add("children_a_check", static_cast<double>(statistics.ls_remote + statistics.fetch) / (checks + 1))
      .add("cpu_ms_a_check", ours / checks)
      .add("bare_cpu_ms", bare / checks)
      .add("cpu_ratio", ours / bare)
      .add("wall_us_p50", our_times.quantile_us(0.5))
      .add("bare_wall_us_p50", bare_times.quantile_us(0.5))
      .print();
}

/// One file of many changes: how long until its new content is here, beside one bare `git fetch` of the same.
Task<> change(int files, int rounds) {
  const TemporaryFolder folder;
  const std::string source = folder / "source.git";
  const std::string other = folder / "other.git";
  co_await bare_git({"init", "--quiet", "--bare", "--initial-branch=main", "--", source});
  co_await bare_git({"init", "--quiet", "--bare", "--initial-branch=main", "--", other});
  co_await commit(source, 0, files, "0", true);
  const std::vector<std::string> fetch{"--git-dir",
                                       other,
                                       "fetch",
                                       "--quiet",
                                       "--depth=1",
                                       "--no-tags",
                                       "--",
                                       "file://" + source,
                                       "+refs/heads/main:refs/heads/main"};
  co_await bare_git(fetch);
  const double rss_before = resident_mb();
  git::Mirror mirror(mirror_of(folder, files), Logger());
  git::ChangeTracker tracker({}, 1);
  auto snapshot = must(co_await mirror.fetch({"main"}, soon())).front();
  for (const auto& file : snapshot.files) tracker.succeeded(file.path, file.blob);
  const double rss_after = resident_mb();
  const auto count = static_cast<std::size_t>(rounds);
  Durations total(count), bare(count), after(count);
  for (int i = 1; i <= rounds; ++i) {
    co_await commit(source, i % files, i % files + 1, std::to_string(i), false);
    const auto begin = std::chrono::steady_clock::now();
    co_await bare_git(fetch);
    const auto fetched = std::chrono::steady_clock::now();
    snapshot = must(co_await mirror.fetch({"main"}, soon())).front();
    const auto listed = std::chrono::steady_clock::now();
    auto wanted = tracker.wanted(snapshot, listed, false);
    auto measured = must(co_await mirror.measure(std::move(wanted.present), soon()));
    const auto read = must(co_await mirror.read(measured, soon()));
    const auto end = std::chrono::steady_clock::now();
    if (read.size() != 1 || !read.front()) throw std::runtime_error("not exactly one file was found changed");
    tracker.succeeded(measured.front().path, measured.front().blob);
    total.add(end - fetched);
    bare.add(fetched - begin);
    after.add(std::max(std::chrono::nanoseconds(0), (end - fetched) - (fetched - begin)));
  }
  co_await mirror.close();
  JsonLine()
      .add("what", "change")
      .add("files", static_cast<std::int64_t>(files))
      .add("rounds", static_cast<std::int64_t>(rounds))
      .add("fetched_and_found_ms_p50", total.quantile_us(0.5) / 1e3)
      .add("bare_fetch_ms_p50", bare.quantile_us(0.5) / 1e3)
      .add("found_after_fetch_ms_p50", after.quantile_us(0.5) / 1e3)
      .add("found_after_fetch_ms_p90", after.quantile_us(0.9) / 1e3)
      .add("mirror_rss_mb", rss_after - rss_before)
      .add("rss_mb", resident_mb())
      .print();
}

int number(std::string_view text) {
  int value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && end == text.data() + text.size() ? value : 0;
}

}  // namespace

int git(Arguments arguments) {
  const bool is_idle = arguments.size() == 2 && arguments[0] == "idle" && number(arguments[1]) > 0;
  const bool is_change =
      arguments.size() == 3 && arguments[0] == "change" && number(arguments[1]) > 0 && number(arguments[2]) > 0;
  if (!is_idle && !is_change) return exit_usage;
  asio::io_context context;
  std::exception_ptr failed;
  asio::co_spawn(context, is_idle ? idle(number(arguments[1])) : change(number(arguments[1]), number(arguments[2])),
                 [&failed](std::exception_ptr exception) { failed = std::move(exception); });
  context.run();
  if (failed) std::rethrow_exception(failed);
  return 0;
}

}  // namespace opi::bench
