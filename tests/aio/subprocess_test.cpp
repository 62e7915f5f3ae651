#include "aio/subprocess.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "aio/child_process.hpp"
#include "aio/task_scope.hpp"
#include "aio/with_deadline.hpp"
#include "support/in_time.hpp"
#include "support/run_coroutine.hpp"

namespace opi::aio {
namespace {

using namespace std::chrono_literals;
using test::in;
using test::run_coroutine;

Command shell(std::string script) {
  return Command{.argv = {"sh", "-c", std::move(script)}, .environment = {"PATH=/usr/bin:/bin"}};
}

/// Ended; a zombie that nobody collects (an orphan in a container) counts as well.
bool gone(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return true;
  const auto after_name = line.rfind(')');
  return after_name != std::string::npos && line.substr(after_name, 3) == ") Z";
}

TEST(Subprocess, gives_output_and_exit_code) {
  const auto result = run_coroutine(run_command(shell("echo out; echo err >&2; exit 3"), in(30s)));
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->output, "out\n");
  EXPECT_EQ(result->error_output, "err\n");
}

TEST(Subprocess, feeds_its_input_and_reads_as_much_back) {
  auto command = Command{.argv = {"cat"}, .environment = {"PATH=/usr/bin:/bin"}};
  for (int i = 0; command.input.size() < 300'000; ++i) command.input += std::to_string(i) + "\n";
  const std::string input = command.input;
  const auto result = run_coroutine(run_command(std::move(command), in(30s)));
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(result->output, input);
}

TEST(Subprocess, a_child_that_does_not_read_its_input_is_no_error) {
  auto command = shell("exit 0");
  command.input.assign(1'000'000, 'x');
  const auto result = run_coroutine(run_command(std::move(command), in(30s)));
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(result->exit_code, 0);
}

TEST(Subprocess, sees_only_the_environment_and_directory_it_is_given) {
  auto command = shell("pwd; env");
  command.environment.emplace_back("ONLY=this");
  command.secret_environment.emplace_back("PASSWORD=hush");
  command.directory = "/usr";
  const auto result = run_coroutine(run_command(std::move(command), in(30s)));
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->output.starts_with("/usr\n")) << result->output;
  EXPECT_THAT(result->output, testing::HasSubstr("ONLY=this\n"));
  EXPECT_THAT(result->output, testing::HasSubstr("PASSWORD=hush\n"));
  EXPECT_THAT(result->output, testing::Not(testing::HasSubstr("HOME=")));
}

TEST(Subprocess, a_signal_that_ends_the_child_shows_in_its_exit_code) {
  const auto result = run_coroutine(run_command(shell("kill -KILL $$"), in(30s)));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->exit_code, 128 + SIGKILL);
}

TEST(Subprocess, a_missing_program_is_not_found) {
  Command command{.argv = {"no-such-program-here"}, .environment = {"PATH=/usr/bin:/bin"}};
  const auto result = run_coroutine(run_command(std::move(command), in(30s)));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::not_found);
  EXPECT_THAT(result.error().message, testing::HasSubstr("no-such-program-here"));
}

TEST(Subprocess, a_missing_directory_is_not_found) {
  auto command = shell("exit 0");
  command.directory = "/no/such/directory";
  const auto result = run_coroutine(run_command(std::move(command), in(30s)));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::not_found);
}

/// A file that the script writes the pids of its processes to.
class PidFile {
 public:
  PidFile() {
    const int fd = ::mkstemp(name_.data());
    if (fd >= 0) ::close(fd);
  }
  ~PidFile() { ::unlink(name_.c_str()); }
  const std::string& name() const { return name_; }
  std::vector<pid_t> pids() const {
    std::vector<pid_t> out;
    if (std::FILE* file = std::fopen(name_.c_str(), "r")) {
      int pid = 0;
      while (std::fscanf(file, "%d", &pid) == 1) out.push_back(pid);
      std::fclose(file);
    }
    return out;
  }

 private:
  std::string name_ = "/tmp/opi-subprocess-test-XXXXXX";
};

/// Starts a grandchild, writes both pids, and lives on; neither ends on SIGTERM.
std::string stubborn_family(const PidFile& file) {
  return "trap '' TERM; sh -c 'trap \"\" TERM; while :; do sleep 1; done' & echo $$ $! > " + file.name() +
         "; while :; do sleep 1; done";
}

void expect_family_gone(const PidFile& file) {
  const auto pids = file.pids();
  ASSERT_EQ(pids.size(), 2U);
  EXPECT_TRUE(gone(pids[0]));
  EXPECT_TRUE(gone(pids[1])) << "the grandchild belongs to the group and ends with it";
}

TEST(Subprocess, the_whole_group_is_gone_after_the_deadline) {
  const PidFile file;
  auto command = shell(stubborn_family(file));
  command.grace = 50ms;
  const auto result = run_coroutine(run_command(std::move(command), in(500ms)));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::timed_out);
  expect_family_gone(file);
}

Task<> keep_result(Task<Result<CommandResult>> run, std::optional<Result<CommandResult>>* into) {
  *into = co_await std::move(run);
}

TEST(Subprocess, cancellation_ends_the_whole_group) {
  const PidFile file;
  asio::io_context context;
  TaskScope scope(context.get_executor(), Logger(), "test");
  auto command = shell(stubborn_family(file));
  command.grace = 50ms;
  std::optional<Result<CommandResult>> result;
  scope.spawn("run", keep_result(run_command(std::move(command), in(1h)), &result));
  struct Waiter {
    static Task<> until_started(const PidFile* file) {
      while (file->pids().size() < 2) co_await sleep_for(2ms);
    }
  };
  run_coroutine(context, Waiter::until_started(&file));
  scope.cancel();
  run_coroutine(context, scope.join());
  ASSERT_TRUE(result.has_value());
  ASSERT_FALSE(*result);
  EXPECT_EQ(result->error().kind, ErrorKind::cancelled);
  expect_family_gone(file);
}

TEST(Subprocess, a_child_that_ends_on_the_first_signal_is_not_waited_for_longer) {
  auto command = shell("exec sleep 1000");
  command.grace = 30s;
  const auto began = std::chrono::steady_clock::now();
  const auto result = run_coroutine(run_command(std::move(command), in(20ms)));
  EXPECT_EQ(result.error().kind, ErrorKind::timed_out);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 15s);
}

TEST(Subprocess, too_much_output_ends_the_child) {
  auto command = shell("while :; do echo 0123456789; done");
  command.output_max = 10'000;
  const auto result = run_coroutine(run_command(std::move(command), in(30s)));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::exhausted);
}

TEST(Subprocess, error_output_past_its_limit_is_read_and_dropped) {
  auto command = shell("i=0; while [ $i -lt 5000 ]; do echo 0123456789 >&2; i=$((i+1)); done; echo done");
  command.error_output_max = 1'000;
  const auto result = run_coroutine(run_command(std::move(command), in(30s)));
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(result->error_output.size(), 1'000U);
  EXPECT_EQ(result->output, "done\n");
}

TEST(Subprocess, a_background_process_does_not_keep_a_finished_command_waiting) {
  const PidFile file;
  const auto began = std::chrono::steady_clock::now();
  const auto result =
      run_coroutine(run_command(shell("sleep 1000 & echo $! > " + file.name() + "; echo started"), in(30s)));
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(result->output, "started\n");
  EXPECT_LT(std::chrono::steady_clock::now() - began, 20s);
  ASSERT_EQ(file.pids().size(), 1U);
  EXPECT_TRUE(gone(file.pids()[0]));
}

TEST(Subprocess, inherits_no_descriptor_and_no_ignored_signal) {
  const int leaky = ::open("/dev/null", O_RDONLY);  // deliberately without close-on-exec
  ASSERT_GE(leaky, 0);
  const auto result =
      run_coroutine(run_command(shell("ls /proc/self/fd | wc -l; grep SigIgn /proc/self/status"), in(30s)));
  ::close(leaky);
  ASSERT_TRUE(result);
  // 0, 1, 2 and the directory that ls itself has open.
  EXPECT_EQ(result->output, "4\nSigIgn:\t0000000000000000\n");
}

TEST(Subprocess, a_hundred_at_once_keep_their_outputs_apart) {
  asio::io_context context;
  TaskScope scope(context.get_executor(), Logger(), "test");
  std::vector<std::optional<Result<CommandResult>>> results(100);
  for (std::size_t i = 0; i < results.size(); ++i)
    scope.spawn("run", keep_result(run_command(shell("echo " + std::to_string(i)), in(60s)), &results[i]));
  run_coroutine(context, scope.join());
  for (std::size_t i = 0; i < results.size(); ++i) {
    ASSERT_TRUE(results[i].has_value() && results[i]->has_value());
    EXPECT_EQ((*results[i])->output, std::to_string(i) + "\n");
  }
}

TEST(ChildProcess, dies_with_the_process_that_started_it) {
  std::array<int, 2> pipe{-1, -1};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    asio::io_context context;
    auto child =
        ChildProcess::start(context.get_executor(), {.argv = {"sleep", "1000"}, .environment = {"PATH=/usr/bin:/bin"}});
    const pid_t pid = child ? child->pid() : -1;
    (void)!::write(pipe[1], &pid, sizeof pid);
    ::kill(::getpid(), SIGKILL);
  }
  ASSERT_EQ(::waitpid(parent, nullptr, 0), parent);
  pid_t orphan = -1;
  ASSERT_EQ(::read(pipe[0], &orphan, sizeof orphan), static_cast<ssize_t>(sizeof orphan));
  ::close(pipe[0]);
  ::close(pipe[1]);
  ASSERT_GT(orphan, 0);
  struct Waiter {
    static Task<bool> until_gone(pid_t pid) {
      for (const auto last = in(20s); std::chrono::steady_clock::now() < last; co_await sleep_for(2ms))
        if (gone(pid)) co_return true;
      co_return false;
    }
  };
  EXPECT_TRUE(run_coroutine(Waiter::until_gone(orphan)));
}

TEST(ChildProcess, end_lets_a_child_finish_on_the_first_signal) {
  asio::io_context context;
  auto child = ChildProcess::start(context.get_executor(),
                                   {.argv = {"sh", "-c", "trap 'exit 7' INT; echo ready; while :; do sleep 0.05; done"},
                                    .environment = {"PATH=/usr/bin:/bin"}});
  ASSERT_TRUE(child) << child.error().to_string();
  std::array<char, 6> ready{};
  struct Reader {
    static Task<std::size_t> read(ChildProcess* from, std::span<char> into) {
      const auto [ec, size] =
          co_await from->output().async_read_some(asio::buffer(into.data(), into.size()), as_result);
      co_return ec ? 0 : size;
    }
  };
  ASSERT_GT(run_coroutine(context, Reader::read(&*child, ready)), 0U);
  EXPECT_EQ(run_coroutine(context, child->end(20s, SIGINT)), 7);
}

TEST(FindProgram, takes_the_first_on_the_path_and_never_the_working_directory) {
  EXPECT_EQ(find_program("sh", "/nowhere:/bin:/usr/bin").value(), "/bin/sh");
  EXPECT_EQ(find_program("sh", "").error().kind, ErrorKind::not_found);
  EXPECT_EQ(find_program("sh", "::").error().kind, ErrorKind::not_found);
  EXPECT_EQ(find_program("/bin/sh", "").value(), "/bin/sh");
}

}  // namespace
}  // namespace opi::aio
