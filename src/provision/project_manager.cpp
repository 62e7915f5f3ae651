#include "provision/project_manager.hpp"

#include <algorithm>
#include <utility>

namespace opi::provision {

ProjectManager::ProjectManager(project::ParseContext context, project::ParseLimits limits)
    : context_(std::move(context)), limits_(limits) {}

std::vector<SourcedProject>::iterator ProjectManager::place_of(std::string_view file) {
  return std::ranges::lower_bound(projects_, file, {},
                                  [](const SourcedProject& one) { return std::string_view(one.source.file); });
}

std::vector<Error> ProjectManager::replace(std::string file, std::string blob, std::string commit,
                                           std::string_view text) {
  const auto place = place_of(file);
  const bool there = place != projects_.end() && place->source.file == file;
  const auto broken = broken_.find(file);
  if (!blob.empty() && broken != broken_.end() && broken->second.source.blob == blob) return broken->second.errors;
  if (!blob.empty() && there && place->source.blob == blob) {
    if (broken != broken_.end()) broken_.erase(broken);
    return {};
  }
  auto parsed = project::parse_project(text, file, context_, limits_);
  SourceRef source{.file = file, .blob = std::move(blob), .commit = std::move(commit)};
  if (!parsed) {
    auto errors = std::move(parsed.error());
    broken_.insert_or_assign(std::move(file),
                             BrokenFile{.source = std::move(source), .errors = errors, .last_good_version = there});
    return errors;
  }
  if (broken != broken_.end()) broken_.erase(broken);
  SourcedProject fresh{.project = *std::move(parsed), .source = std::move(source)};
  if (there) {
    *place = std::move(fresh);
  } else {
    projects_.insert(place, std::move(fresh));
  }
  return {};
}

void ProjectManager::reject(std::string file, std::string blob, std::string commit, Error why) {
  const auto place = place_of(file);
  const bool there = place != projects_.end() && place->source.file == file;
  SourceRef source{.file = file, .blob = std::move(blob), .commit = std::move(commit)};
  broken_.insert_or_assign(
      std::move(file), BrokenFile{.source = std::move(source), .errors = {std::move(why)}, .last_good_version = there});
}

void ProjectManager::remove(std::string_view file) {
  if (const auto place = place_of(file); place != projects_.end() && place->source.file == file) projects_.erase(place);
  if (const auto broken = broken_.find(file); broken != broken_.end()) broken_.erase(broken);
}

std::vector<BrokenFile> ProjectManager::errors() const {
  std::vector<BrokenFile> all;
  all.reserve(broken_.size());
  for (const auto& [file, broken] : broken_) all.push_back(broken);
  return all;
}

const SourcedProject* ProjectManager::find(std::string_view project) const noexcept {
  for (const auto& one : projects_) {
    if (one.project.name.value == project) return &one;
  }
  return nullptr;
}

}  // namespace opi::provision
