#include "git/push.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "aio/slices.hpp"
#include "aio/subprocess.hpp"
#include "aio/with_deadline.hpp"
#include "base/backoff.hpp"

namespace opi::git {

/// One git child, as data.
struct Pusher::Run {
  std::string what;
  std::vector<std::string> arguments;
  bool network = false;
  bool in_repository = true;
  bool may_fail = false;  ///< its exit code is looked at by the caller
  std::string input = {};
  std::size_t output_max = 256U << 20U;
};

struct Pusher::Ended {
  int exit_code = 0;
  std::string output;
  std::string error_output;
};

namespace {

constexpr std::string_view base_ref = "refs/opi/base";
constexpr std::string_view next_ref = "refs/opi/next";

/// What git says when the branch has moved meanwhile, whichever side notices.
bool somebody_was_faster(std::string_view text) {
  static constexpr std::array<std::string_view, 9> signs{
      "fetch first",          "non-fast-forward",         "cannot lock ref", "incorrect old value",
      "failed to update ref", "reference already exists", "stale info",      "remote ref updated since checkout",
      "Unable to create '"};
  return std::ranges::any_of(signs, [&](std::string_view sign) { return text.contains(sign); });
}

Result<> write_private(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) return failure(ErrorKind::exhausted, "cannot write " + path.string());
  return {};
}

/// A path that a tree may have and that fast-import takes as it is.
bool good_path(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.front() == '"' || path.ends_with('/')) return false;
  if (path.contains("//") || path == ".git" || path.contains("/.git/") || path.starts_with(".git/")) return false;
  const std::string framed = "/" + std::string(path) + "/";
  if (framed.contains("/../") || framed.contains("/./")) return false;
  return std::ranges::none_of(path, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

void add_data(std::string& stream, std::string_view bytes) {
  stream += fmt::format("data {}\n", bytes.size());
  stream += bytes;
  stream += '\n';
}

/// Format: git-fast-import(1).
std::string import_stream(const PushSettings& settings, const std::string& parent, const TreeChange& change) {
  std::string stream = fmt::format("reset {}\n\ncommit {}\nmark :1\n", next_ref, next_ref);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(SystemClock().wall().time_since_epoch());
  stream += fmt::format("committer {} <{}> {} +0000\n", settings.author_name, settings.author_email, seconds.count());
  add_data(stream, change.message);
  if (!parent.empty()) stream += fmt::format("from {}\n", parent);
  for (const auto& [path, bytes] : change.files) {
    if (!bytes) {
      stream += fmt::format("D {}\n", path);
      continue;
    }
    stream += fmt::format("M 100644 inline {}\n", path);
    add_data(stream, *bytes);
  }
  return stream + "\nget-mark :1\ndone\n";
}

}  // namespace

Result<Blobs> parse_tree_listing(std::string_view output) {
  Blobs blobs;
  while (!output.empty()) {
    const auto end = output.find('\0');
    const auto entry = output.substr(0, end);
    output.remove_prefix(end == std::string_view::npos ? output.size() : end + 1);
    const auto tab = entry.find('\t');
    const auto space = entry.rfind(' ', tab);
    if (tab == std::string_view::npos || space == std::string_view::npos)
      return failure(ErrorKind::internal, "git ls-tree printed what is no entry");
    if (entry.starts_with("100")) blobs.emplace(entry.substr(tab + 1), entry.substr(space + 1, tab - space - 1));
  }
  return blobs;
}

Pusher::Pusher(PushSettings settings, aio::BlockingPool& blocking, Logger log)
    : settings_(std::move(settings)), blocking_(blocking), log_(std::move(log)) {}

Task<Result<Pusher::Ended>> Pusher::git(Run run, SteadyTime deadline) {
  aio::Command command;
  command.argv.emplace_back("git");
  if (run.in_repository) command.argv.insert(command.argv.end(), {"--git-dir", repository_.string()});
  command.argv.insert(command.argv.end(), std::make_move_iterator(run.arguments.begin()),
                      std::make_move_iterator(run.arguments.end()));
  command.environment = environment_of(settings_.remote, remote_);
  if (run.network) {
    auto credentials = credentials_of(settings_.remote, remote_);
    if (!credentials) co_return failure(std::move(credentials).error());
    command.secret_environment = *std::move(credentials);
  }
  command.directory = settings_.remote.directory.string();
  command.input = std::move(run.input);
  command.output_max = run.output_max;
  command.grace = settings_.remote.kill_grace;
  ++commands_;
  auto ended = co_await aio::run_command(std::move(command), deadline);
  if (!ended) co_return failure(std::move(ended).error().while_doing(std::move(run.what)));
  if (ended->exit_code != 0 && !run.may_fail)
    co_return failure(classify(run.what, ended->exit_code, ended->error_output, run.network));
  co_return Ended{.exit_code = ended->exit_code,
                  .output = std::move(ended->output),
                  .error_output = std::move(ended->error_output)};
}

Task<Result<>> Pusher::make_repository(SteadyTime deadline) {
  std::error_code ignored;
  std::filesystem::remove_all(repository_, ignored);
  tree_.reset();
  Run run{
      .what = "making " + repository_.string(),
      .arguments = {"init", "--quiet", "--bare", "--template=", "--initial-branch=opi",
                    id_length_ == 64 ? "--object-format=sha256" : "--object-format=sha1", "--", repository_.string()},
      .in_repository = false};
  auto made = co_await git(std::move(run), deadline);
  if (!made) co_return failure(std::move(made).error());
  co_return Result<>{};
}

Task<Result<>> Pusher::prepare(SteadyTime deadline) {
  if (prepared_) co_return Result<>{};
  auto& to = settings_.remote;
  auto remote = parse_remote(to.url);
  if (!remote) co_return failure(std::move(remote).error());
  if (auto checked = check_branch(to.branches.front()); !checked) co_return checked;
  if (to.directory.is_relative()) to.directory = std::filesystem::absolute(to.directory);
  repository_ = to.directory / "push.git";
  remote_ = *std::move(remote);
  std::error_code code;
  std::filesystem::create_directories(to.directory / "home", code);
  if (!code) std::filesystem::permissions(to.directory, std::filesystem::perms::owner_all, code);
  if (code)
    co_return failure(
        Error(ErrorKind::denied, "cannot make the directory " + to.directory.string()).because(code.message()));
  auto written = write_private(to.directory / "gitconfig", configuration_text(to, remote_, repository_));
  if (!written) co_return written;
  // Anew at each start: what a killed git has left is of no use, and a shallow head is soon fetched.
  if (auto made = co_await make_repository(deadline); !made) co_return made;
  prepared_ = true;
  co_return Result<>{};
}

Task<Result<std::string>> Pusher::remote_head(SteadyTime deadline) {
  const std::string ref = "refs/heads/" + settings_.remote.branches.front();
  Run run{.what = fmt::format("reading the head of {}", settings_.remote.name),
          .arguments = {"ls-remote", "--quiet", "--", remote_.url, ref},
          .network = true,
          .in_repository = false};
  auto ended = co_await git(std::move(run), deadline);
  if (!ended) co_return failure(std::move(ended).error());
  std::string_view rest = ended->output;
  while (!rest.empty()) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.ends_with("\t" + ref)) co_return std::string(line.substr(0, line.find('\t')));
  }
  co_return std::string();
}

Task<Result<>> Pusher::fetch(SteadyTime deadline) {
  Run run{.what = fmt::format("fetching {}", settings_.remote.name),
          .arguments = {"fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head",
                        "--no-auto-maintenance", "--update-shallow", "--force", "--depth=1", "--", remote_.url,
                        fmt::format("+refs/heads/{}:{}", settings_.remote.branches.front(), base_ref)},
          .network = true};
  auto fetched = co_await git(std::move(run), deadline);
  if (!fetched) co_return failure(std::move(fetched).error());
  co_return Result<>{};
}

/// The files of a commit below `folder`.
Task<Result<Blobs>> Pusher::list(std::string commit, std::string folder, SteadyTime deadline) {
  if (commit.empty()) co_return Blobs{};
  Run run{.what = fmt::format("reading the tree of {}", settings_.remote.name),
          .arguments = {"ls-tree", "-r", "-z", "--full-tree", std::move(commit), "--"}};
  if (!folder.empty()) run.arguments.push_back(folder + "/");
  auto ended = co_await git(std::move(run), deadline);
  if (!ended) co_return failure(std::move(ended).error());
  co_return parse_tree_listing(ended->output);
}

Task<Result<RemoteTree>> Pusher::read(std::string folder, SteadyTime deadline) {
  if (auto ready = co_await prepare(deadline); !ready) co_return failure(std::move(ready).error());
  auto head = co_await remote_head(deadline);
  if (!head) co_return failure(std::move(head).error());
  if (tree_ && tree_->commit == *head && folder_ == folder) co_return *tree_;
  if (!head->empty()) {
    if (head->size() != id_length_) {
      id_length_ = head->size();
      if (auto made = co_await make_repository(deadline); !made) co_return failure(std::move(made).error());
    }
    if (auto fetched = co_await fetch(deadline); !fetched) co_return failure(std::move(fetched).error());
    Run run{.what = fmt::format("reading the head of {}", settings_.remote.name),
            .arguments = {"rev-parse", "--verify", "--quiet", std::string(base_ref)}};
    auto fetched_head = co_await git(std::move(run), deadline);
    if (!fetched_head) co_return failure(std::move(fetched_head).error());
    *head = fetched_head->output.substr(0, fetched_head->output.find('\n'));
  }
  auto blobs = co_await list(*head, folder, deadline);
  if (!blobs) co_return failure(std::move(blobs).error());
  folder_ = std::move(folder);
  tree_ = RemoteTree{.commit = *std::move(head), .blobs = *std::move(blobs)};
  co_return *tree_;
}

/// Two at once, for thousands of files are thousands of documents to parse.
Task<Result<>> Pusher::ask_guard(std::vector<std::pair<const std::string*, std::string_view>> files) const {
  if (!settings_.guard) co_return Result<>{};
  std::vector<Result<>> answers(files.size());
  const auto ask = [&](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) answers[i] = settings_.guard(*files[i].first, files[i].second);
  };
  if (!co_await aio::run_in_slices(&blocking_, files.size(), 2, &ask))
    co_return failure(ErrorKind::cancelled, fmt::format("pushing to {}: cancelled", settings_.remote.name));
  for (auto& answer : answers) {
    if (!answer) co_return failure(std::move(answer.error()));
  }
  co_return Result<>{};
}

Task<Result<>> Pusher::guard_all(const TreeChange* change) const {
  std::vector<std::pair<const std::string*, std::string_view>> files;
  for (const auto& [path, bytes] : change->files) {
    if (!good_path(path))
      co_return failure(ErrorKind::invalid, fmt::format("\"{}\" is no path for a file", clean_line(path, 200)));
    if (bytes) files.emplace_back(&path, *bytes);
  }
  co_return co_await ask_guard(std::move(files));
}

Task<Result<std::string>> Pusher::commit(std::string parent, const TreeChange* change, SteadyTime deadline) {
  // What is sealed hardly gets smaller and has nothing in common with its neighbour, and the pack is sent as it is: no
  // search for deltas, and little compression.
  Run run{.what = "making a commit",
          .arguments = {"-c", "pack.compression=1", "fast-import", "--quiet", "--done", "--force", "--depth=0",
                        "--date-format=raw"},
          .input = import_stream(settings_, parent, *change)};
  auto ended = co_await git(std::move(run), deadline);
  if (!ended) co_return failure(std::move(ended).error());
  auto id = ended->output.substr(0, ended->output.find('\n'));
  if (id.size() != id_length_) co_return failure(ErrorKind::internal, "git fast-import named no commit");
  co_return id;
}

/// Format: git-cat-file(1), BATCH OUTPUT.
Task<Result<std::vector<std::string>>> Pusher::contents(std::vector<std::string> ids, SteadyTime deadline) {
  std::vector<std::string> all;
  if (ids.empty()) co_return all;
  Run run{.what = "reading objects", .arguments = {"cat-file", "--batch", "--buffer"}};
  for (const auto& id : ids) run.input += id + "\n";
  auto ended = co_await git(std::move(run), deadline);
  if (!ended) co_return failure(std::move(ended).error());
  std::string_view rest = ended->output;
  all.reserve(ids.size());
  for (const auto& id : ids) {
    const auto line = rest.substr(0, rest.find('\n'));
    const auto last = line.rfind(' ');
    std::size_t size = 0;
    const bool blob = line.contains(" blob ");
    if (blob) std::from_chars(line.data() + last + 1, line.data() + line.size(), size);
    if (!blob || rest.size() < line.size() + 1 + size)
      co_return failure(ErrorKind::internal, fmt::format("git has no \"{}\"", clean_line(id, 200)));
    all.emplace_back(rest.substr(line.size() + 1, size));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1 + size + 1));
  }
  co_return all;
}

/// What stands in the commit, byte for byte, is what may leave this machine. By the ids that the tree lists: git walks
/// all of the trees again for each path that it is asked for by name.
Task<Result<>> Pusher::read_back(std::string commit, const TreeChange* change, PushReport* report,
                                 SteadyTime deadline) {
  auto listed = co_await list(std::move(commit), folder_, deadline);
  if (!listed) co_return failure(std::move(listed).error());
  report->blobs.clear();
  std::vector<std::string> ids;
  std::vector<const std::string*> paths;
  for (const auto& [path, bytes] : change->files) {
    const auto found = listed->find(path);
    if (bytes.has_value() != (found != listed->end()))
      co_return failure(ErrorKind::internal,
                        fmt::format("the commit {} \"{}\"", bytes ? "lacks" : "still holds", path));
    if (!bytes) continue;
    report->blobs.emplace(path, found->second);
    ids.push_back(found->second);
    paths.push_back(&path);
  }
  auto found = co_await contents(std::move(ids), deadline);
  if (!found) co_return failure(std::move(found).error());
  std::vector<std::pair<const std::string*, std::string_view>> files;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if ((*found)[i] != *change->files.at(*paths[i]))
      co_return failure(ErrorKind::internal, fmt::format("the commit holds another \"{}\"", *paths[i]));
    files.emplace_back(paths[i], (*found)[i]);
  }
  co_return co_await ask_guard(std::move(files));
}

Task<Result<bool>> Pusher::send(std::string commit, SteadyTime deadline) {
  const std::string what = fmt::format("pushing to {}", settings_.remote.name);
  Run run{.what = what,
          .arguments = {"push", "--quiet", "--porcelain", "--no-verify", "--", remote_.url,
                        fmt::format("{}:refs/heads/{}", commit, settings_.remote.branches.front())},
          .network = true,
          .may_fail = true};
  auto ended = co_await git(std::move(run), deadline);
  if (!ended) co_return failure(std::move(ended).error());
  if (ended->exit_code == 0) co_return true;
  const std::string said = ended->output + ended->error_output;
  if (somebody_was_faster(said)) co_return false;
  // Hooks and protected branches answer in the porcelain lines.
  const auto bang = ended->output.find("!\t");
  auto error = classify(what, ended->exit_code, ended->error_output, true);
  if (bang != std::string::npos) {
    error.causes.push_back(clean_line(std::string_view(ended->output).substr(bang + 2), 300));
    if (ended->output.contains("remote rejected")) error.kind = ErrorKind::denied;
  }
  co_return failure(std::move(error));
}

Task<Result<PushReport>> Pusher::push(std::string folder, RenderTree render, SteadyTime deadline) {
  Backoff backoff({.first = settings_.first_backoff, .most = settings_.most_backoff, .jitter = 0.9},
                  static_cast<std::uint64_t>(::getpid()) ^ reinterpret_cast<std::uintptr_t>(this));
  PushReport report;
  while (true) {
    ++report.attempts;
    auto tree = co_await read(folder, deadline);
    if (!tree) co_return failure(std::move(tree).error());
    auto change = render(*tree);
    if (!change) co_return failure(std::move(change).error());
    if (change->files.empty()) {
      report.commit = tree->commit;
      co_return report;
    }
    if (auto good = co_await guard_all(&*change); !good) co_return failure(std::move(good).error());
    auto id = co_await commit(tree->commit, &*change, deadline);
    if (!id) co_return failure(std::move(id).error());
    if (auto good = co_await read_back(*id, &*change, &report, deadline); !good)
      co_return failure(std::move(good).error());
    auto sent = co_await send(*id, deadline);
    if (!sent) co_return failure(std::move(sent).error());
    if (*sent) {
      report.commit = *id;
      report.files = change->files.size();
      for (const auto& [path, bytes] : change->files) {
        if (bytes) {
          tree_->blobs.insert_or_assign(path, report.blobs.at(path));
        } else {
          tree_->blobs.erase(path);
        }
      }
      tree_->commit = *id;
      co_return report;
    }
    log_.debug(settings_.remote.name, "somebody else was faster; rendering again on the new head");
    if (report.attempts == settings_.attempts_max)
      co_return failure(Error(ErrorKind::exhausted, fmt::format("pushing to {}: somebody else was faster {} times",
                                                                settings_.remote.name, report.attempts))
                            .handled_by(Handling::retry));
    if (!co_await aio::sleep_for(backoff.next()))
      co_return failure(ErrorKind::cancelled, fmt::format("pushing to {}: cancelled", settings_.remote.name));
  }
}

}  // namespace opi::git
