#include "app/projects_reader.hpp"

#include <fmt/format.h>

#include <iterator>
#include <set>
#include <utility>
#include <vector>

namespace opi::app {

namespace {

constexpr std::size_t batch_bytes_max = 16U << 20U;

// The next files whose sizes add up to one batch, so that a large repository never stands in memory as a whole.
std::vector<git::FileBlob> next_batch(const std::vector<git::FileBlob>& files, std::size_t from) {
  std::vector<git::FileBlob> batch;
  std::size_t bytes = 0;
  for (std::size_t i = from; i < files.size() && (batch.empty() || bytes + files[i].size <= batch_bytes_max); ++i) {
    bytes += files[i].size;
    batch.push_back(files[i]);
  }
  return batch;
}

// A file that became a link or too large is still there: its last good version stays in force.
void forget_missing(const ProjectsRead& read, const std::set<std::string>& rejected,
                    provision::ProjectManager* projects) {
  std::vector<std::string> gone;
  for (const auto& project : projects->projects()) {
    const auto& file = project.source.file;
    if (!read.blobs.contains(file) && !rejected.contains(file)) gone.push_back(file);
  }
  for (const auto& file : gone) projects->remove(file);
}

}  // namespace

Task<Result<ProjectsRead>> read_projects(git::Mirror* mirror, provision::ProjectManager* projects, Logger log,
                                         SteadyTime deadline) {
  auto snapshot = co_await mirror->fetch(deadline);
  if (!snapshot) co_return failure(std::move(snapshot.error()));
  ProjectsRead read{.commit = snapshot->commit, .blobs = {}, .rejected = {}};
  if (snapshot->empty) {
    log.named("git").warn("projects",
                          fmt::format("branch {} has no commit; nothing is taken away", mirror->settings().branch));
    co_return read;
  }
  std::set<std::string> rejected;
  for (auto& file : snapshot->rejected) {
    rejected.insert(file.path);
    projects->reject(file.path, file.blob, snapshot->commit, file.error);
    read.rejected.push_back(std::move(file.error));
  }
  for (std::size_t from = 0; from < snapshot->files.size();) {
    const auto batch = next_batch(snapshot->files, from);
    auto contents = co_await mirror->read_blobs(batch, deadline);
    if (!contents) co_return failure(std::move(contents.error()));
    for (std::size_t i = 0; i < batch.size(); ++i) {
      read.blobs[batch[i].path] = batch[i].blob;
      if (auto unusable = git::unusable_content(batch[i].path, (*contents)[i])) {
        projects->reject(batch[i].path, batch[i].blob, snapshot->commit, *unusable);
        read.rejected.push_back(std::move(*unusable));
      } else {
        projects->replace(batch[i].path, batch[i].blob, snapshot->commit, (*contents)[i]);
      }
    }
    from += batch.size();
  }
  forget_missing(read, rejected, projects);
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
