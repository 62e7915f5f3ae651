#include "git/mirror.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <charconv>
#include <fstream>
#include <system_error>
#include <utility>

#include "aio/subprocess.hpp"
#include "git/git_environment.hpp"
#include "git/git_output.hpp"

namespace opi::git {

namespace {

constexpr std::string_view mirrored_ref = "refs/opi/head";

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

Error filesystem_failure(std::string what, const std::error_code& code) {
  Error error(code == std::errc::permission_denied ? ErrorKind::denied : ErrorKind::exhausted, std::move(what));
  error.causes.push_back(code.message());
  return error;
}

/// Ours alone: nobody else may read what is mirrored.
Result<> make_private_directory(const std::filesystem::path& path) {
  std::error_code code;
  std::filesystem::create_directories(path, code);
  if (!code) std::filesystem::permissions(path, std::filesystem::perms::owner_all, code);
  if (code) return failure(filesystem_failure("cannot make the directory " + path.string(), code));
  return {};
}

Result<> write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) return failure(ErrorKind::exhausted, "cannot write " + path.string());
  return {};
}

}  // namespace

/// One child: its arguments after `git`, and what it is to us.
struct Mirror::Run {
  std::string what;  ///< for messages: "reading the head of …"
  std::vector<std::string> arguments;
  bool network = false;
  std::string input = {};
  std::size_t output_max = 1U << 20U;
};

Mirror::Mirror(MirrorSettings settings, Logger log)
    : settings_(std::move(settings)), log_(std::move(log)), repository_(settings_.directory / "mirror.git") {}

Mirror::~Mirror() = default;

Task<Result<std::string>> Mirror::git(Run run, SteadyTime deadline) {
  const Remote remote{.url = remote_, .scheme = scheme_};
  aio::Command command;
  command.argv = std::move(run.arguments);
  command.argv.insert(command.argv.begin(), "git");
  command.environment = environment_of(settings_, remote);
  if (run.network) {
    auto credentials = credentials_of(settings_, remote);
    if (!credentials) co_return failure(std::move(credentials).error());
    command.secret_environment = *std::move(credentials);
  }
  command.directory = settings_.directory.string();
  command.input = std::move(run.input);
  command.output_max = run.output_max;
  command.grace = settings_.kill_grace;
  auto ended = co_await aio::run_command(std::move(command), deadline);
  if (!ended) co_return failure(std::move(ended).error().while_doing(std::move(run.what)));
  if (ended->exit_code != 0) co_return failure(classify(run.what, ended->exit_code, ended->error_output, run.network));
  co_return std::move(ended->output);
}

Task<Result<>> Mirror::prepare(SteadyTime deadline) {
  if (prepared_) co_return Result<>{};
  auto remote = parse_remote(settings_.url);
  if (!remote) co_return failure(std::move(remote).error());
  if (auto checked = check_branch(settings_.branch); !checked) co_return checked;
  if (settings_.directory.is_relative()) settings_.directory = std::filesystem::absolute(settings_.directory);
  repository_ = settings_.directory / "mirror.git";
  remote_ = remote->url;
  scheme_ = remote->scheme;
  if (auto made = make_private_directory(settings_.directory); !made) co_return made;
  if (auto made = make_private_directory(settings_.directory / "home"); !made) co_return made;
  const std::string configuration = configuration_text(settings_, *remote, repository_);
  if (auto written = write_file(settings_.directory / "gitconfig", configuration); !written) co_return written;
  if (!std::filesystem::exists(repository_ / "HEAD")) {
    ++statistics_.local;
    auto made = co_await git(
        {.what = "making the mirror " + repository_.string(),
         .arguments = {"init", "--quiet", "--bare", "--template=", "--initial-branch=opi", "--", repository_.string()}},
        deadline);
    if (!made) co_return failure(std::move(made).error());
  }
  forget_stale_locks();
  prepared_ = true;
  co_return Result<>{};
}

/// A killed git leaves its lock files; nobody else works in this directory, so at this moment none is held.
void Mirror::forget_stale_locks() const noexcept {
  std::error_code code;
  for (const char* name : {"shallow.lock", "packed-refs.lock", "config.lock", "HEAD.lock", "gc.pid"})
    std::filesystem::remove(repository_ / name, code);
  std::filesystem::remove(repository_ / (std::string(mirrored_ref) + ".lock"), code);
}

Task<Result<Head>> Mirror::remote_head(SteadyTime deadline) {
  if (auto ready = co_await prepare(deadline); !ready) co_return failure(std::move(ready).error());
  const std::string ref = "refs/heads/" + settings_.branch;
  ++statistics_.ls_remote;
  auto output = co_await git({.what = fmt::format("reading the head of {}", settings_.name),
                              .arguments = {"ls-remote", "--quiet", "--", remote_, ref},
                              .network = true},
                             deadline);
  if (!output) co_return failure(std::move(output).error());
  co_return parse_remote_head(*output, ref);
}

Task<Result<Snapshot>> Mirror::fetch(SteadyTime deadline) {
  auto snapshot = co_await fetch_once(deadline);
  if (snapshot || !looks_damaged(snapshot.error())) co_return snapshot;
  discard(snapshot.error());
  co_return co_await fetch_once(deadline);
}

void Mirror::discard(const Error& reason) {
  log_.warn(settings_.name, fmt::format("the mirror is damaged and made anew: {}", reason.to_string()));
  std::error_code ignored;  // what could not be removed shows in the next attempt
  std::filesystem::remove_all(repository_, ignored);
  prepared_ = false;
}

Task<Result<Snapshot>> Mirror::fetch_once(SteadyTime deadline) {
  if (auto ready = co_await prepare(deadline); !ready) co_return failure(std::move(ready).error());
  forget_stale_locks();
  ++statistics_.fetch;
  const std::string refspec = fmt::format("+refs/heads/{}:{}", settings_.branch, mirrored_ref);
  auto fetched =
      co_await git({.what = fmt::format("fetching {}", settings_.name),
                    .arguments = {"--git-dir", repository_.string(), "fetch", "--quiet", "--depth=1", "--no-tags",
                                  "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance",
                                  "--update-shallow", "--force", "--", remote_, refspec},
                    .network = true},
                   deadline);
  if (!fetched) {
    const auto& causes = fetched.error().causes;
    const bool no_branch =
        std::ranges::any_of(causes, [](const auto& c) { return c.contains("couldn't find remote ref"); });
    if (no_branch) co_return Snapshot{.empty = true};
    co_return failure(std::move(fetched).error());
  }
  auto snapshot = co_await list(deadline);
  if (snapshot && settings_.pack_after > 0 && statistics_.fetch % settings_.pack_after == 0) co_await tidy_up(deadline);
  co_return snapshot;
}

Task<Result<Snapshot>> Mirror::list(SteadyTime deadline) {
  const std::string what = fmt::format("listing {}", settings_.name);
  ++statistics_.local;
  auto described = co_await git({.what = what,
                                 .arguments = {"--git-dir", repository_.string(), "log", "-1", "--no-show-signature",
                                               "--format=%H%x00%ct%x00%an <%ae>", std::string(mirrored_ref), "--"}},
                                deadline);
  if (!described) co_return failure(std::move(described).error());
  auto snapshot = parse_commit(first_line(*described));
  if (!snapshot) co_return failure(std::move(snapshot).error());
  ++statistics_.local;
  auto tree = co_await git({.what = what,
                            .arguments = {"--git-dir", repository_.string(), "ls-tree", "-r", "-l", "-z", "--full-tree",
                                          snapshot->commit, "--"},
                            .output_max = settings_.limits.tree_bytes_max},
                           deadline);
  if (!tree) co_return failure(std::move(tree).error());
  if (auto sorted = parse_tree(*tree, settings_, *snapshot); !sorted) co_return failure(std::move(sorted).error());
  co_return snapshot;
}

/// Old heads are unreachable after each fetch: packed away now and then, or the mirror would grow for ever.
Task<> Mirror::tidy_up(SteadyTime deadline) {
  ++statistics_.local;
  auto packed = co_await git({.what = fmt::format("packing the mirror of {}", settings_.name),
                              .arguments = {"--git-dir", repository_.string(), "gc", "--quiet", "--prune=now"}},
                             deadline);
  if (!packed) log_.warn(settings_.name, packed.error().to_string());
}

Task<Result<std::vector<std::string>>> Mirror::read_blobs(std::vector<FileBlob> files, SteadyTime deadline) {
  if (files.empty()) co_return std::vector<std::string>{};
  if (auto ready = co_await prepare(deadline); !ready) co_return failure(std::move(ready).error());
  Run run{.what = fmt::format("reading files of {}", settings_.name),
          .arguments = {"--git-dir", repository_.string(), "cat-file", "--batch"}};
  run.output_max = 1024;
  for (const auto& file : files) {
    if (!is_object_id(file.blob)) co_return failure(ErrorKind::invalid, file.path + " has no object id");
    run.input += file.blob + "\n";
    run.output_max += file.size + 128;
  }
  ++statistics_.local;
  auto output = co_await git(std::move(run), deadline);
  if (!output) {
    if (looks_damaged(output.error())) discard(output.error());
    co_return failure(std::move(output).error());
  }
  auto contents = parse_batch(*output, files);
  if (!contents) discard(contents.error());
  co_return contents;
}

}  // namespace opi::git
