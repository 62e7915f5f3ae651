#include "app/projects_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace opi::app {

namespace {

constexpr std::size_t batch_bytes_max = 16U << 20U;

/// A file whose version at the head cannot even be read.
struct Unreadable {
  std::string path;
  std::string blob;
  Error why;
};

/// One branch of one repository, on its way into the project manager.
struct Reading {
  Repository repository;
  git::Mirror* mirror;
  provision::ProjectManager* projects;
  std::map<std::string, std::string> last;  ///< path → blob that was acted on
  SteadyTime deadline;
};

std::string file_of(const Reading& reading, const std::string& branch, const std::string& path) {
  return name_of_file(reading.repository, branch, path);
}

// A file that became a link or too large is still there: its last good version stays in force.
void forget_missing(const Reading& reading, const BranchRead& read) {
  std::set<std::string> there;
  for (const auto& file : read.files) there.insert(file_of(reading, read.branch, file.path));
  const std::string prefix = file_of(reading, read.branch, "");
  std::vector<std::string> gone;
  for (const auto& project : reading.projects->projects()) {
    const auto& file = project.source.file;
    const bool ours = prefix.empty() ? file.find(':') == std::string::npos : file.starts_with(prefix);
    if (ours && !there.contains(file)) gone.push_back(file);
  }
  for (const auto& file : gone) reading.projects->remove(file);
}

// Of files whose version at the head cannot be used: the version that was last acted on, when the mirror has it.
Task<Result<>> restore_last_good(const Reading* reading, const BranchRead* read) {
  std::vector<git::FileBlob> wanted;
  for (const auto& file : read->files) {
    const auto acted = reading->last.find(file.path);
    if (acted != reading->last.end() && !acted->second.empty() && acted->second != file.blob)
      wanted.push_back({.path = file.path, .blob = acted->second});
  }
  std::vector<std::string> blobs;
  for (const auto& file : wanted) blobs.push_back(file.blob);
  auto held = co_await reading->mirror->held(std::move(blobs), reading->deadline);
  if (!held) co_return failure(std::move(held.error()));
  std::erase_if(wanted, [&](const auto& file) { return std::ranges::find(*held, file.blob) == held->end(); });
  auto measured = co_await reading->mirror->measure(std::move(wanted), reading->deadline);
  if (!measured) co_return failure(std::move(measured.error()));
  for (auto& batch : git::in_batches(std::move(*measured), batch_bytes_max)) {
    auto contents = co_await reading->mirror->read(batch, reading->deadline);
    if (!contents) co_return failure(std::move(contents.error()));
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (!(*contents)[i]) continue;
      reading->projects->replace(file_of(*reading, read->branch, batch[i].path), batch[i].blob, read->commit,
                                 *(*contents)[i]);
    }
  }
  co_return Result<>{};
}

Task<Result<BranchRead>> read_branch(const Reading* reading, git::Snapshot snapshot) {
  BranchRead read{.branch = snapshot.branch, .commit = snapshot.commit, .author = snapshot.author, .files = {}};
  std::vector<Unreadable> unreadable;
  for (auto& file : snapshot.rejected) {
    read.files.push_back({.path = file.path, .blob = file.blob, .usable = false});
    unreadable.push_back({.path = file.path, .blob = file.blob, .why = std::move(file.error)});
  }
  auto measured = co_await reading->mirror->measure(std::move(snapshot.files), reading->deadline);
  if (!measured) co_return failure(std::move(measured.error()));
  for (const auto& file : *measured) read.files.push_back({.path = file.path, .blob = file.blob});
  // First what is in force, then what the head says: a version that breaks leaves the one before it alone.
  if (!reading->last.empty()) {
    if (auto restored = co_await restore_last_good(reading, &read); !restored)
      co_return failure(std::move(restored.error()));
  }
  const std::size_t most = reading->mirror->settings().limits.file_bytes_max;
  for (auto& file : *measured) file.size = std::min(file.size, most + 1);
  for (auto& batch : git::in_batches(std::move(*measured), batch_bytes_max)) {
    auto contents = co_await reading->mirror->read(batch, reading->deadline);
    if (!contents) co_return failure(std::move(contents.error()));
    for (std::size_t i = 0; i < batch.size(); ++i) {
      auto& content = (*contents)[i];
      if (content) {
        reading->projects->replace(file_of(*reading, read.branch, batch[i].path), batch[i].blob, read.commit, *content);
        continue;
      }
      unreadable.push_back({.path = batch[i].path, .blob = batch[i].blob, .why = std::move(content.error())});
      const auto file = std::ranges::find(read.files, batch[i].path, &FileRead::path);
      file->usable = false;
    }
  }
  // It is there, so that what it declared before is not taken for gone.
  for (auto& file : unreadable) {
    reading->projects->reject(file_of(*reading, read.branch, file.path), file.blob, read.commit, std::move(file.why));
  }
  forget_missing(*reading, read);
  co_return read;
}

}  // namespace

Task<Result<ProjectsRead>> read_projects(Repository repository, git::Mirror* mirror,
                                         provision::ProjectManager* projects, LastActedOn last, Logger log,
                                         SteadyTime deadline) {
  auto snapshots = co_await mirror->fetch(mirror->settings().branches, deadline);
  if (!snapshots) co_return failure(std::move(snapshots.error()));
  ProjectsRead read;
  for (auto& snapshot : *snapshots) {
    if (snapshot.refused) {
      read.rejected.push_back(
          std::move(snapshot.refused->error).while_doing(fmt::format("{} of {}", snapshot.branch, repository.name)));
    } else if (snapshot.empty) {
      log.named("git").warn(repository.name,
                            fmt::format("branch {} has no commit; nothing is taken away", snapshot.branch));
    }
    if (snapshot.empty) {
      read.branches.push_back({.branch = snapshot.branch, .commit = {}, .author = {}, .files = {}});
      continue;
    }
    const Reading reading{.repository = repository,
                          .mirror = mirror,
                          .projects = projects,
                          .last = std::move(last[snapshot.branch]),
                          .deadline = deadline};
    auto branch = co_await read_branch(&reading, std::move(snapshot));
    if (!branch) co_return failure(std::move(branch.error()));
    read.branches.push_back(std::move(*branch));
  }
  co_return read;
}

std::vector<Error> project_errors(const provision::ProjectManager& projects) {
  std::vector<Error> errors;
  for (auto& broken : projects.errors()) {
    std::move(broken.errors.begin(), broken.errors.end(), std::back_inserter(errors));
  }
  return errors;
}

}  // namespace opi::app
