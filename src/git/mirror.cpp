#include "git/mirror.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <fstream>
#include <system_error>
#include <utility>

#include "aio/subprocess.hpp"
#include "git/git_environment.hpp"
#include "git/git_output.hpp"
#include "git/mirror_run.hpp"
#include "git/signature.hpp"

namespace opi::git {

namespace {

constexpr std::string_view heads_prefix = "refs/opi/heads/";
constexpr std::string_view accepted_prefix = "refs/opi/accepted/";

/// Branches may be named like directories of others that are gone by now: in our refs a slash is none.
std::string ref_of(std::string_view prefix, std::string_view branch) {
  std::string ref(prefix);
  for (const char c : branch) ref += c == '/' ? std::string("%2F") : c == '%' ? std::string("%25") : std::string(1, c);
  return ref;
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

bool holds(const std::vector<std::string>& list, std::string_view one) {
  return std::ranges::find(list, one) != list.end();
}

bool says(const Error& error, std::string_view part) {
  return std::ranges::any_of(error.causes, [&](const std::string& cause) { return cause.contains(part); });
}

}  // namespace

Mirror::Mirror(MirrorSettings settings, Logger log)
    : settings_(std::move(settings)),
      log_(std::move(log)),
      repository_(settings_.directory / "mirror.git"),
      reader_([this] { return reader_settings(); }) {}

Mirror::~Mirror() = default;

Task<> Mirror::close() {
  co_await reader_.close();
}

aio::ChildSettings Mirror::reader_settings() const {
  return {.argv = {"git", "--git-dir", repository_.string(), "cat-file", "--batch-command", "--buffer"},
          .environment = environment_of(settings_, {.url = remote_, .scheme = scheme_}),
          .directory = settings_.directory.string(),
          .error_output = aio::ChildStream::nothing};
}

Task<Result<std::string>> Mirror::git(Run run, SteadyTime deadline) {
  const Remote remote{.url = remote_, .scheme = scheme_};
  aio::Command command;
  command.argv = std::move(run.arguments);
  if (run.in_repository) command.argv.insert(command.argv.begin(), {"--git-dir", repository_.string()});
  command.argv.insert(command.argv.begin(), "git");
  command.environment = environment_of(settings_, remote);
  if (run.network) {
    auto credentials = credentials_of(settings_, remote);
    if (!credentials) co_return failure(std::move(credentials).error());
    command.secret_environment = *std::move(credentials);
  } else {
    ++statistics_.local;
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
  for (const auto& branch : settings_.branches)
    if (auto checked = check_branch(branch); !checked) co_return checked;
  if (settings_.directory.is_relative()) settings_.directory = std::filesystem::absolute(settings_.directory);
  repository_ = settings_.directory / "mirror.git";
  remote_ = remote->url;
  scheme_ = remote->scheme;
  if (auto made = make_private_directory(settings_.directory); !made) co_return made;
  if (auto made = make_private_directory(settings_.directory / "home"); !made) co_return made;
  const std::string configuration = configuration_text(settings_, *remote, repository_);
  if (auto written = write_file(settings_.directory / "gitconfig", configuration); !written) co_return written;
  if (!std::filesystem::exists(repository_ / "HEAD")) {
    if (auto made = co_await make_repository(deadline); !made) co_return made;
  }
  forget_stale_locks();
  prepared_ = true;
  co_return Result<>{};
}

Task<Result<>> Mirror::make_repository(SteadyTime deadline) {
  Run run{
      .what = "making the mirror " + repository_.string(),
      .arguments = {"init", "--quiet", "--bare", "--template=", "--initial-branch=opi",
                    id_length_ == 64 ? "--object-format=sha256" : "--object-format=sha1", "--", repository_.string()},
      .in_repository = false};
  auto made = co_await git(std::move(run), deadline);
  if (!made) co_return failure(std::move(made).error());
  co_return Result<>{};
}

/// A killed git leaves its lock files; nobody else works in this directory, so at this moment none is held.
void Mirror::forget_stale_locks() const noexcept {
  std::error_code code;
  for (const char* name : {"shallow.lock", "packed-refs.lock", "config.lock", "HEAD.lock", "gc.pid"})
    std::filesystem::remove(repository_ / name, code);
  for (const auto& branch : settings_.branches)
    for (const auto prefix : {heads_prefix, accepted_prefix})
      std::filesystem::remove(repository_ / (ref_of(prefix, branch) + ".lock"), code);
}

Task<Result<Heads>> Mirror::remote_heads(SteadyTime deadline) {
  if (auto ready = co_await prepare(deadline); !ready) co_return failure(std::move(ready).error());
  ++statistics_.ls_remote;
  Run run{.what = fmt::format("reading the head of {}", settings_.name),
          .arguments = {"ls-remote", "--quiet", "--", remote_},
          .network = true,
          .in_repository = false};
  for (const auto& branch : settings_.branches) run.arguments.push_back("refs/heads/" + branch);
  auto output = co_await git(std::move(run), deadline);
  if (!output) co_return failure(std::move(output).error());
  auto heads = parse_remote_heads(*output, settings_.branches);
  if (heads && !heads->empty() && heads->begin()->second.size() != id_length_) {
    // The remote is made with the other hash (rarely; it may change): the mirror must be as well.
    id_length_ = heads->begin()->second.size();
    co_await reader_.close();
    std::error_code ignored;
    std::filesystem::remove_all(repository_, ignored);
    prepared_ = false;
  }
  co_return heads;
}

Task<Result<std::vector<Snapshot>>> Mirror::fetch(std::vector<std::string> branches, SteadyTime deadline) {
  auto snapshots = co_await fetch_once(branches, deadline);
  if (snapshots || !looks_damaged(snapshots.error())) co_return snapshots;
  co_await discard(snapshots.error());
  co_return co_await fetch_once(branches, deadline);
}

Task<> Mirror::discard(Error reason) {
  log_.warn(settings_.name, fmt::format("the mirror is damaged and made anew: {}", reason.to_string()));
  co_await reader_.close();
  std::error_code ignored;  // what could not be removed shows in the next attempt
  std::filesystem::remove_all(repository_, ignored);
  prepared_ = false;
}

Task<Result<>> Mirror::fetch_refs(std::vector<std::string> branches, bool deep, SteadyTime deadline) {
  ++statistics_.fetch;
  Run run{.what = fmt::format("fetching {}", settings_.name),
          .arguments = {"fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head",
                        "--no-auto-maintenance", "--update-shallow", "--force"},
          .network = true};
  if (!deep) run.arguments.emplace_back("--depth=1");
  run.arguments.insert(run.arguments.end(), {"--", remote_});
  for (const auto& branch : branches)
    run.arguments.push_back(fmt::format("+refs/heads/{}:{}", branch, ref_of(heads_prefix, branch)));
  auto fetched = co_await git(std::move(run), deadline);
  if (!fetched) co_return failure(std::move(fetched).error());
  co_return Result<>{};
}

Task<Result<std::map<std::string, std::string>>> Mirror::read_refs(SteadyTime deadline) {
  Run run{.what = fmt::format("reading the mirror of {}", settings_.name),
          .arguments = {"for-each-ref", "--format=%(objectname) %(refname)", std::string(heads_prefix),
                        std::string(accepted_prefix)}};
  auto output = co_await git(std::move(run), deadline);
  if (!output) co_return failure(std::move(output).error());
  std::map<std::string, std::string> refs;
  std::string_view rest = *output;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const auto space = line.find(' ');
    if (space != std::string_view::npos) refs.emplace(line.substr(space + 1), line.substr(0, space));
  }
  co_return refs;
}

Task<Result<std::vector<Snapshot>>> Mirror::fetch_once(std::vector<std::string> branches, SteadyTime deadline) {
  if (auto ready = co_await prepare(deadline); !ready) co_return failure(std::move(ready).error());
  forget_stale_locks();
  const bool every = settings_.verification.mode == VerifyMode::every;
  auto refs = co_await read_refs(deadline);
  if (!refs) co_return failure(std::move(refs).error());
  std::vector<std::string> missing;
  const auto accepted_of = [&](const std::string& branch) {
    const auto found = refs->find(ref_of(accepted_prefix, branch));
    return found == refs->end() ? std::string() : found->second;
  };
  // From the last accepted head on, whole: all that lies between is wanted, and nothing before it.
  const auto deep = [&](const std::string& branch) { return every && !accepted_of(branch).empty(); };
  const bool same = std::ranges::all_of(branches, [&](const auto& b) { return deep(b) == deep(branches.front()); });
  bool together = same && !branches.empty();
  if (together) {
    auto fetched = co_await fetch_refs(branches, deep(branches.front()), deadline);
    if (!fetched && !says(fetched.error(), "couldn't find remote ref")) co_return failure(std::move(fetched).error());
    together = fetched.has_value();
    if (!together && branches.size() == 1) missing = branches;
  }
  if (!together && missing.empty()) {  // one of them is gone: each for itself
    for (const auto& branch : branches) {
      auto fetched = co_await fetch_refs({branch}, deep(branch), deadline);
      if (fetched) continue;
      if (!says(fetched.error(), "couldn't find remote ref")) co_return failure(std::move(fetched).error());
      missing.push_back(branch);
    }
  }
  if (refs = co_await read_refs(deadline); !refs) co_return failure(std::move(refs).error());
  std::vector<Snapshot> snapshots;
  for (const auto& branch : branches) {
    if (holds(missing, branch)) {
      snapshots.push_back({.branch = branch, .empty = true});
      continue;
    }
    const std::string head = (*refs)[ref_of(heads_prefix, branch)];
    auto snapshot = settings_.verification.mode == VerifyMode::none
                        ? co_await list(branch, head, deadline)
                        : co_await verified(branch, head, accepted_of(branch), deadline);
    if (!snapshot) co_return failure(std::move(snapshot).error());
    snapshots.push_back(*std::move(snapshot));
  }
  co_return snapshots;
}

/// The snapshot of `head` when its signatures satisfy; else of what was accepted before, with the refusal.
Task<Result<Snapshot>> Mirror::verified(std::string branch, std::string head, std::string accepted,
                                        SteadyTime deadline) {
  if (head == accepted) co_return co_await list(branch, head, deadline);
  auto refused = co_await refusal(head, accepted, deadline);
  if (!refused) co_return failure(std::move(refused).error());
  if (!*refused) {
    Run run{.what = fmt::format("accepting a head of {}", settings_.name),
            .arguments = {"update-ref", ref_of(accepted_prefix, branch), head}};
    auto noted = co_await git(std::move(run), deadline);
    if (!noted) co_return failure(std::move(noted).error());
    co_return co_await list(branch, head, deadline);
  }
  Snapshot snapshot{.branch = branch, .empty = true};
  if (!accepted.empty()) {
    auto listed = co_await list(branch, accepted, deadline);
    if (!listed) co_return failure(std::move(listed).error());
    snapshot = *std::move(listed);
  }
  auto raw = co_await contents({head}, 1U << 20U, deadline);
  if (!raw) co_return failure(std::move(raw).error());
  auto commit = parse_commit(raw->front());
  snapshot.refused = RefusedHead{
      .commit = head, .author = commit ? std::move(commit->author) : std::string(), .error = **std::move(refused)};
  co_return snapshot;
}

/// Why `head` is not accepted; nothing when it is. Errors: it could not be found out.
Task<Result<std::optional<Error>>> Mirror::refusal(std::string head, std::string accepted, SteadyTime deadline) {
  const auto& verification = settings_.verification;
  std::vector<std::string> commits{head};
  if (verification.mode == VerifyMode::every && !accepted.empty()) {
    Run run{.what = fmt::format("reading the commits of {}", settings_.name),
            .arguments = {"rev-list", fmt::format("--max-count={}", verification.commits_max + 1), head, "^" + accepted,
                          "--"},
            .output_max = (verification.commits_max + 2) * 65};
    auto output = co_await git(std::move(run), deadline);
    if (!output) co_return failure(std::move(output).error());
    commits.clear();
    for (std::size_t at = 0; at + id_length_ < output->size() + 1; at += id_length_ + 1)
      commits.push_back(output->substr(at, id_length_));
    if (commits.size() > verification.commits_max)
      co_return Error(ErrorKind::exhausted,
                      fmt::format("more than {} commits since {}", verification.commits_max, accepted.substr(0, 7)));
  }
  for (const auto& commit : commits) {
    auto info = co_await reader_.describe({commit}, deadline);
    if (!info) co_return failure(std::move(info).error());
    if (!info->front() || info->front()->type != "commit" || info->front()->size > (1U << 20U))
      co_return Error(ErrorKind::denied, fmt::format("commit {} cannot be checked", commit.substr(0, 7)));
    auto raw = co_await contents({commit}, 1U << 20U, deadline);
    if (!raw) co_return failure(std::move(raw).error());
    auto parts = split_signature(raw->front(), id_length_ == 64);
    if (!parts) co_return failure(std::move(parts).error());
    auto signer = co_await check_signature(*std::move(parts), verification, settings_.directory, deadline);
    if (signer) {
      log_.debug(settings_.name, fmt::format("commit {} is signed by {}", commit.substr(0, 7), *signer));
      continue;
    }
    if (signer.error().kind != ErrorKind::denied) co_return failure(std::move(signer).error());
    co_return std::move(signer).error().while_doing(fmt::format("commit {} is not accepted", commit.substr(0, 7)));
  }
  co_return std::nullopt;
}

Task<Result<Snapshot>> Mirror::list(std::string branch, std::string commit, SteadyTime deadline) {
  auto raw = co_await contents({commit}, settings_.limits.tree_bytes_max, deadline);
  if (!raw) co_return failure(std::move(raw).error());
  auto parsed = parse_commit(raw->front());
  if (!parsed) co_return failure(std::move(parsed).error());
  Snapshot snapshot{.branch = std::move(branch),
                    .commit = std::move(commit),
                    .author = std::move(parsed->author),
                    .committed = parsed->committed};
  if (auto walked = co_await walk(&snapshot, std::move(parsed->tree), deadline); !walked)
    co_return failure(std::move(walked).error());
  std::ranges::sort(snapshot.files, {}, &FileBlob::path);
  std::ranges::sort(snapshot.rejected, {}, &RejectedFile::path);
  co_return snapshot;
}

/// Level by level, so that a thousand directories are a few questions. Visits are bounded by bytes, each counted as
/// often as it is made: a tree that names itself many times over ends at the limit.
Task<Result<>> Mirror::walk(Snapshot* into, std::string tree, SteadyTime deadline) {
  constexpr std::size_t together_max = 8U << 20U;
  std::size_t bytes = 0;
  std::vector<Directory> level{{.path = "", .tree = std::move(tree)}};
  while (!level.empty()) {
    std::vector<FileBlob> trees;
    for (const auto& directory : level) trees.push_back({.path = directory.path, .blob = directory.tree});
    auto measured = co_await measure(std::move(trees), deadline);
    if (!measured) co_return failure(std::move(measured).error());
    for (const auto& one : *measured) bytes += one.size;
    if (bytes > settings_.limits.tree_bytes_max)
      co_return failure(Error(ErrorKind::exhausted, fmt::format("the directories of {} have more than {} bytes",
                                                                settings_.name, settings_.limits.tree_bytes_max))
                            .handled_by(Handling::needs_person));
    std::vector<Directory> below;
    for (auto& batch : in_batches(*std::move(measured), together_max)) {
      std::vector<std::string> ids;
      std::size_t size = 0;
      for (const auto& one : batch) {
        ids.push_back(one.blob);
        size += one.size;
      }
      auto raw = co_await contents(std::move(ids), size, deadline);
      if (!raw) co_return failure(std::move(raw).error());
      for (std::size_t i = 0; i < batch.size(); ++i) {
        auto sorted = parse_tree((*raw)[i], id_length_ / 2, {.path = batch[i].path, .tree = batch[i].blob}, settings_,
                                 *into, below);
        if (!sorted) co_return sorted;
      }
    }
    level = std::move(below);
  }
  co_return Result<>{};
}

Task<Result<std::vector<std::string>>> Mirror::contents(std::vector<std::string> ids, std::size_t bytes,
                                                        SteadyTime deadline) {
  auto contents = co_await reader_.contents(std::move(ids), bytes, deadline);
  if (!contents) co_return failure(std::move(contents).error().while_doing(fmt::format("reading {}", settings_.name)));
  co_return contents;
}

Task<Result<std::vector<FileBlob>>> Mirror::measure(std::vector<FileBlob> files, SteadyTime deadline) {
  if (auto ready = co_await prepare(deadline); !ready) co_return failure(std::move(ready).error());
  std::vector<std::string> ids;
  ids.reserve(files.size());
  for (const auto& file : files) ids.push_back(file.blob);
  auto infos = co_await reader_.describe(std::move(ids), deadline);
  if (!infos) {
    if (looks_damaged(infos.error())) co_await discard(infos.error());
    co_return failure(std::move(infos).error().while_doing(fmt::format("reading {}", settings_.name)));
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (!(*infos)[i]) {
      Error error = Error(ErrorKind::not_found, fmt::format("{} is not in the mirror", clean_line(files[i].path, 300)))
                        .with_code(std::string(damaged_code));
      co_await discard(error);
      co_return failure(std::move(error));
    }
    files[i].size = (*infos)[i]->size;
  }
  co_return files;
}

Task<Result<std::vector<Result<std::string>>>> Mirror::read(std::vector<FileBlob> files, SteadyTime deadline) {
  std::vector<std::string> ids;
  std::size_t bytes = 0;
  const std::size_t most = settings_.limits.file_bytes_max;
  for (const auto& file : files) {
    if (file.size > most) continue;
    ids.push_back(file.blob);
    bytes += file.size;
  }
  auto texts = co_await contents(std::move(ids), bytes, deadline);
  if (!texts) {
    if (looks_damaged(texts.error())) co_await discard(texts.error());
    co_return failure(std::move(texts).error());
  }
  std::vector<Result<std::string>> out;
  std::size_t next = 0;
  for (const auto& file : files) {
    if (file.size > most) {
      out.emplace_back(failure(Error(ErrorKind::exhausted, fmt::format("{} has {} bytes, at most {} are read",
                                                                       clean_line(file.path, 300), file.size, most))));
      continue;
    }
    std::string& text = (*texts)[next++];
    auto unusable = unusable_content(file.path, text);
    out.push_back(unusable ? Result<std::string>(failure(*std::move(unusable))) : Result<std::string>(std::move(text)));
  }
  co_return out;
}

Task<Result<std::vector<std::string>>> Mirror::held(std::vector<std::string> blobs, SteadyTime deadline) {
  if (auto ready = co_await prepare(deadline); !ready) co_return failure(std::move(ready).error());
  std::erase_if(blobs, [](const std::string& blob) { return !is_object_id(blob); });
  auto infos = co_await reader_.describe(blobs, deadline);
  if (!infos) co_return failure(std::move(infos).error());
  std::vector<std::string> there;
  for (std::size_t i = 0; i < blobs.size(); ++i)
    if ((*infos)[i] && (*infos)[i]->type == "blob") there.push_back(std::move(blobs[i]));
  co_return there;
}

/// Old heads are unreachable after each fetch: packed away now and then, or the mirror would grow for ever.
Task<> Mirror::tidy_when_due(SteadyTime deadline) {
  if (settings_.pack_after == 0 || statistics_.fetch - tidied_at_ < settings_.pack_after) co_return;
  tidied_at_ = statistics_.fetch;
  auto protected_now = co_await protect_kept(deadline);
  if (protected_now) {
    Run run{.what = fmt::format("packing the mirror of {}", settings_.name),
            .arguments = {"gc", "--quiet", "--prune=now"}};
    auto packed = co_await git(std::move(run), deadline);
    if (!packed) protected_now = failure(std::move(packed).error());
  }
  if (!protected_now) log_.warn(settings_.name, protected_now.error().to_string());
}

/// Refs are what keeps a blob from being pruned: exactly those of `kept_`.
Task<Result<>> Mirror::protect_kept(SteadyTime deadline) {
  auto there = co_await held(kept_, deadline);
  if (!there) co_return failure(std::move(there).error());
  const std::string what = fmt::format("keeping what is in force of {}", settings_.name);
  Run ask{.what = what, .arguments = {"for-each-ref", "--format=%(refname)", "refs/opi/kept/"}};
  auto listed = co_await git(std::move(ask), deadline);
  if (!listed) co_return failure(std::move(listed).error());
  std::string input;
  for (std::string_view rest = *listed; !rest.empty();) {
    const std::string_view ref = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), ref.size() + 1));
    if (!holds(*there, ref.substr(ref.rfind('/') + 1))) input += fmt::format("delete {}\n", ref);
  }
  for (const auto& blob : *there) input += fmt::format("update refs/opi/kept/{} {}\n", blob, blob);
  if (input.empty()) co_return Result<>{};
  Run run{.what = what, .arguments = {"update-ref", "--stdin"}, .input = std::move(input)};
  auto done = co_await git(std::move(run), deadline);
  if (!done) co_return failure(std::move(done).error());
  co_return Result<>{};
}

}  // namespace opi::git
