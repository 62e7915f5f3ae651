#include "aio/child_process.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "aio/io_error.hpp"
#include "aio/subprocess.hpp"
#include "aio/with_deadline.hpp"

namespace opi::aio {

namespace {

/// A descriptor that is closed when it goes; Asio takes it over with release().
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    reset(other.release());
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(-1); }
  int get() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  void reset(int fd) noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }
  int fd_ = -1;
};

/// The same descriptor, but never 0, 1 or 2: those are overwritten in the child (and may be free when ours were
/// closed).
Descriptor above_standard(Descriptor descriptor) {
  if (descriptor.get() > 2 || descriptor.get() < 0) return descriptor;
  return Descriptor(::fcntl(descriptor.get(), F_DUPFD_CLOEXEC, 3));
}

/// Both ends of one standard stream; `ours` stays empty unless it is a pipe.
struct Ends {
  Descriptor ours;
  Descriptor childs;
};

Result<Ends> open_stream(ChildStream kind, int number) {
  Ends ends;
  if (kind == ChildStream::nothing) {
    ends.childs = Descriptor(::open("/dev/null", (number == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC));
  } else if (kind == ChildStream::inherit) {
    ends.childs = Descriptor(::fcntl(number, F_DUPFD_CLOEXEC, 3));
  } else {
    std::array<int, 2> pair{-1, -1};
    if (::pipe2(pair.data(), O_CLOEXEC) != 0)
      return failure(system_error(ErrorKind::exhausted, "no pipe for a child process", errno));
    ends.ours = Descriptor(pair[number == 0 ? 1 : 0]);
    ends.childs = Descriptor(pair[number == 0 ? 0 : 1]);
  }
  ends.childs = above_standard(std::move(ends.childs));
  if (ends.childs.get() < 0)
    return failure(system_error(ErrorKind::exhausted, "no descriptor for a child process", errno));
  return ends;
}

std::string search_path(const std::vector<std::string>& environment) {
  for (const auto& entry : environment)
    if (entry.starts_with("PATH=")) return entry.substr(5);
  const char* ours = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): nobody sets the environment after start
  return ours != nullptr ? ours : "/usr/local/bin:/usr/bin:/bin";
}

/// Everything the child needs, made before the fork: between fork and exec only async-signal-safe calls are allowed.
struct Launch {
  std::string program;
  std::vector<const char*> argv;
  std::vector<const char*> environment;
  const char* directory = nullptr;
  std::array<int, 3> streams{};
  int report = -1;  ///< errno goes here when something fails before the program runs
  pid_t parent = 0;
};

std::vector<const char*> pointers(const std::vector<std::string>& strings) {
  std::vector<const char*> out;
  out.reserve(strings.size() + 1);
  for (const auto& text : strings) out.push_back(text.c_str());
  out.push_back(nullptr);
  return out;
}

[[noreturn]] void fail_in_child(int report) noexcept {
  const int error = errno;
  (void)!::write(report, &error, sizeof error);
  ::_exit(127);
}

void default_signals() noexcept {
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal)
    if (signal != SIGKILL && signal != SIGSTOP) ::sigaction(signal, &action, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void become(const Launch& launch) noexcept {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != launch.parent) ::_exit(127);  // the parent died before the line above
  for (int number = 0; number < 3; ++number)
    if (::dup2(launch.streams[static_cast<std::size_t>(number)], number) < 0) fail_in_child(launch.report);
  // Sockets are not all opened close-on-exec: none may leak into a child.
  if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
    for (int fd = 3; fd < 65'536; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  if (launch.directory != nullptr && ::chdir(launch.directory) != 0) fail_in_child(launch.report);
  default_signals();
  // execve changes none of the strings; its signature is older than const.
  ::execve(launch.program.c_str(), const_cast<char* const*>(launch.argv.data()),
           const_cast<char* const*>(launch.environment.data()));
  fail_in_child(launch.report);
}

/// Forks with all signals blocked, so that no handler of ours ever runs in the child. Gives the pid or an errno.
std::expected<pid_t, int> launch_child(Launch& launch) {
  std::array<int, 2> report{-1, -1};
  if (::pipe2(report.data(), O_CLOEXEC) != 0) return std::unexpected(errno);
  const Descriptor reading(report[0]);
  Descriptor writing = above_standard(Descriptor(report[1]));
  if (writing.get() < 0) return std::unexpected(errno);
  launch.report = writing.get();
  launch.parent = ::getpid();

  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) become(launch);
  const int fork_error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return std::unexpected(fork_error);

  ::setpgid(pid, pid);  // in both, so that neither has to wait for the other; fails harmlessly after the exec
  writing = Descriptor();
  int error = 0;
  ssize_t got = 0;
  do got = ::read(reading.get(), &error, sizeof error);  // ends with the exec, which closes the other end
  while (got < 0 && errno == EINTR);
  if (got == static_cast<ssize_t>(sizeof error)) {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return std::unexpected(error);
  }
  return pid;
}

ErrorKind kind_of_start(int error) noexcept {
  switch (error) {
    case ENOENT:
    case ENOTDIR: return ErrorKind::not_found;
    case EACCES:
    case EPERM: return ErrorKind::denied;
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
    case ENFILE: return ErrorKind::exhausted;
    default: return ErrorKind::internal;
  }
}

/// Is any process of the group still running? Zombies do not count: in a container whose first process does not collect
/// orphans they stay for ever. Reads /proc only when the group exists at all.
bool group_runs(pid_t group) {
  if (::kill(-group, 0) != 0) return false;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const auto name = entry.path().filename().string();
    if (name.empty() || name.front() < '0' || name.front() > '9') continue;
    std::ifstream file(entry.path() / "stat");
    std::string line;
    if (!std::getline(file, line)) continue;  // gone meanwhile
    const auto after_name = line.rfind(')');  // the name may hold anything, parentheses included
    if (after_name == std::string::npos) continue;
    char state = 'Z';
    int parent = 0, process_group = 0;
    if (std::sscanf(line.c_str() + after_name + 1, " %c %d %d", &state, &parent, &process_group) != 3) continue;
    if (process_group == group && state != 'Z' && state != 'X') return true;
  }
  return false;
}

int exit_code_of(int status) noexcept {
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  return 128 + (WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

}  // namespace

ChildProcess::ChildProcess(const asio::any_io_executor& executor, pid_t pid)
    : pid_(pid), pidfd_(executor), input_(executor), output_(executor), error_output_(executor) {}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      exit_code_(other.exit_code_),
      pidfd_(std::move(other.pidfd_)),
      input_(std::move(other.input_)),
      output_(std::move(other.output_)),
      error_output_(std::move(other.error_output_)) {}

ChildProcess::~ChildProcess() {
  if (pid_ > 0 && !exit_code_) reap();
}

Result<ChildProcess> ChildProcess::start(const asio::any_io_executor& executor, ChildSettings settings) {
  if (settings.argv.empty()) return failure(ErrorKind::invalid, "a child process needs a program");
  const std::string name = settings.argv.front();
  auto program = find_program(name, search_path(settings.environment));
  if (!program) return failure(std::move(program).error());

  std::array<Ends, 3> ends;
  const std::array kinds{settings.input, settings.output, settings.error_output};
  Launch launch{.program = *std::move(program)};
  for (std::size_t number = 0; number < 3; ++number) {
    auto opened = open_stream(kinds[number], static_cast<int>(number));
    if (!opened) return failure(std::move(opened).error());
    ends[number] = *std::move(opened);
    launch.streams[number] = ends[number].childs.get();
  }
  launch.argv = pointers(settings.argv);
  launch.environment = pointers(settings.environment);
  launch.environment.pop_back();
  for (auto& secret : settings.secret_environment) launch.environment.push_back(secret.reveal_c_str());
  launch.environment.push_back(nullptr);
  if (!settings.directory.empty()) launch.directory = settings.directory.c_str();

  const auto pid = launch_child(launch);
  if (!pid) return failure(system_error(kind_of_start(pid.error()), "cannot start " + name, pid.error()));
  ChildProcess child(executor, *pid);
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0));
  if (pidfd < 0) return failure(system_error(ErrorKind::exhausted, "cannot watch " + name, errno));
  child.pidfd_.assign(pidfd);
  if (kinds[0] == ChildStream::pipe) child.input_.assign(ends[0].ours.release());
  if (kinds[1] == ChildStream::pipe) child.output_.assign(ends[1].ours.release());
  if (kinds[2] == ChildStream::pipe) child.error_output_.assign(ends[2].ours.release());
  return child;
}

Task<Result<>> ChildProcess::wait() {
  if (exit_code_) co_return Result<>{};
  if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
    co_return cancelled_before("waiting for a child process");
  const auto [ec] = co_await pidfd_.async_wait(asio::posix::stream_descriptor::wait_read, as_result);
  if (ec) co_return failure(io_error("waiting for a child process", ec));
  co_return Result<>{};
}

void ChildProcess::signal_group(int signal) noexcept {
  if (pid_ > 0 && !exit_code_) ::kill(-pid_, signal);
}

int ChildProcess::reap() noexcept {
  if (exit_code_) return *exit_code_;
  signal_group(SIGKILL);  // the zombie still holds the group's number, so this hits nobody else
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno == EINTR) continue;
    status = 0;  // somebody else collected it: there is nothing to know
    break;
  }
  boost::system::error_code ignored;
  pidfd_.close(ignored);
  exit_code_ = exit_code_of(status);
  return *exit_code_;
}

Task<int> ChildProcess::end(std::chrono::milliseconds grace, int first) {
  return shielded(end_now(grace, first));
}

Task<int> ChildProcess::end_now(std::chrono::milliseconds grace, int first) {
  const auto now = std::chrono::steady_clock::now();
  if (!exit_code_ && grace.count() > 0) {
    signal_group(first);
    (void)co_await with_deadline(wait(), now + grace, "waiting for a child process");
  }
  if (!exit_code_) {
    signal_group(SIGKILL);
    (void)co_await wait();
  }
  const int code = reap();
  // Grandchildren end by themselves now, but the system takes a moment; whoever returns from here finds them gone.
  const auto last = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  while (group_runs(pid_) && std::chrono::steady_clock::now() < last) co_await sleep_for(std::chrono::milliseconds(1));
  co_return code;
}

}  // namespace opi::aio
