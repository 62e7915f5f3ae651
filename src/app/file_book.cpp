#include "app/file_book.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace opi::app {

namespace {

bool went_well(provision::DeploymentOutcome outcome) {
  using enum provision::DeploymentOutcome;
  return outcome == created || outcome == changed || outcome == unchanged || outcome == kept;
}

}  // namespace

const FileBook::File* FileBook::find(std::string_view name) const {
  const auto found = files_.find(name);
  return found == files_.end() ? nullptr : &found->second;
}

void FileBook::load(std::vector<store::FileRecord> records, const std::string& prefix) {
  for (auto& record : records) {
    auto& file = files_[prefix + record.path];
    file.seen.name = prefix + record.path;
    file.seen.ledger = std::move(record.repository);
    file.seen.path = std::move(record.path);
    file.recorded_blob = std::move(record.blob_id);
    file.recorded_error = std::move(record.error);
    file.recorded_error_blob = std::move(record.error_blob_id);
    file.recorded_commit = std::move(record.error_commit_id);
    file.recorded_author = std::move(record.error_author);
  }
}

bool FileBook::saw(FileSeen seen) {
  auto& file = files_[seen.name];
  if (file.seen.blob == seen.blob) return false;
  file.seen = std::move(seen);
  file.judged = false;
  file.unusable = false;
  file.error.clear();
  return true;
}

void FileBook::unusable(const std::string& name, std::string error) {
  auto& file = files_[name];
  file.judged = true;
  file.unusable = true;
  file.error = std::move(error);
}

void FileBook::gone(std::string_view name) {
  if (const auto found = files_.find(name); found != files_.end()) files_.erase(found);
}

void FileBook::begin_pass(const std::vector<std::string>& files) {
  const std::set<std::string_view> chosen(files.begin(), files.end());
  for (auto& [name, file] : files_)
    file.in_pass = chosen.empty() || chosen.contains(name) ? file.seen.blob : std::string();
}

void FileBook::judge(const provision::ApplyReport& report, const provision::ProjectManager& projects) {
  const auto in_pass = [](const File& file) {
    return !file.unusable && !file.in_pass.empty() && file.in_pass == file.seen.blob;
  };
  for (auto& [name, file] : files_) {
    if (!in_pass(file)) continue;
    file.judged = true;
    file.error.clear();
  }
  const auto blame = [&](const std::string& name, const std::string& error) {
    const auto found = files_.find(name);
    if (found != files_.end() && in_pass(found->second) && found->second.error.empty()) found->second.error = error;
  };
  for (const auto& broken : projects.errors()) {
    if (!broken.errors.empty()) blame(broken.source.file, broken.errors.front().to_string());
  }
  for (const auto& row : report.deployments) {
    if (went_well(row.outcome) || row.file.empty()) continue;
    blame(row.file, fmt::format("{}: {}", row.title(), row.error ? row.error->to_string() : "not done"));
  }
}

bool FileBook::succeeded(std::string_view name) const {
  const auto* file = find(name);
  return file == nullptr || (file->judged && file->error.empty());
}

FileProblem FileBook::first_sight(const File& file) {
  const bool before = file.recorded_error_blob == file.seen.blob && !file.recorded_commit.empty();
  return {.error = file.error,
          .commit = before ? file.recorded_commit : file.seen.commit,
          .author = before ? file.recorded_author : file.seen.author};
}

FileProblem FileBook::sight(std::string_view name) const {
  const auto* file = find(name);
  if (file == nullptr) return {};
  auto seen = first_sight(*file);
  seen.error.clear();
  return seen;
}

FileProblem FileBook::problem(std::string_view name) const {
  const auto* file = find(name);
  return file == nullptr || file->error.empty() ? FileProblem{} : first_sight(*file);
}

std::map<std::string, std::string> FileBook::acted_on(std::string_view ledger) const {
  std::map<std::string, std::string> acted;
  for (const auto& [name, file] : files_) {
    if (file.seen.ledger != ledger) continue;
    if (file.judged && file.error.empty() && !file.seen.blob.empty())
      acted[file.seen.path] = file.seen.blob;
    else if (!file.recorded_blob.empty())
      // What nobody has read since the start is in force nowhere: no version of it is the one acted on.
      acted[file.seen.path] = file.seen.blob.empty() ? std::string() : file.recorded_blob;
  }
  return acted;
}

std::map<std::string, std::string> FileBook::recorded(std::string_view ledger) const {
  std::map<std::string, std::string> blobs;
  for (const auto& [name, file] : files_)
    if (file.seen.ledger == ledger && !file.recorded_blob.empty()) blobs[file.seen.path] = file.recorded_blob;
  return blobs;
}

std::vector<std::string> FileBook::names() const {
  std::vector<std::string> all;
  for (const auto& [name, file] : files_)
    if (!file.seen.blob.empty()) all.push_back(name);
  return all;
}

FileBook::ToRecord FileBook::to_record(const provision::ProjectManager& projects) const {
  std::map<std::string_view, std::string_view> project_of;
  for (const auto& known : projects.projects()) project_of[known.source.file] = known.project.name.value;
  ToRecord writes;
  for (const auto& [name, file] : files_) {
    if (!file.judged || file.seen.blob.empty()) continue;
    if (file.error.empty() && (file.recorded_blob != file.seen.blob || !file.recorded_error.empty())) {
      writes.acted.push_back({.repository = file.seen.ledger,
                              .path = file.seen.path,
                              .blob_id = file.seen.blob,
                              .project = std::string(project_of[name]),
                              .commit_id = file.seen.commit});
    } else if (!file.error.empty() &&
               (file.recorded_error != file.error || file.recorded_error_blob != file.seen.blob)) {
      const auto sight = first_sight(file);
      writes.failed.push_back({.repository = file.seen.ledger,
                               .path = file.seen.path,
                               .blob_id = file.seen.blob,
                               .error = file.error,
                               .commit_id = sight.commit,
                               .author = sight.author});
    }
  }
  return writes;
}

void FileBook::recorded(const ToRecord& written) {
  std::map<std::pair<std::string_view, std::string_view>, File*> by_path;
  for (auto& [name, file] : files_) by_path[{file.seen.ledger, file.seen.path}] = &file;
  const auto named = [&](const std::string& ledger, const std::string& path) -> File* {
    const auto found = by_path.find({ledger, path});  // it may be gone by now
    return found == by_path.end() ? nullptr : found->second;
  };
  for (const auto& acted : written.acted) {
    auto* file = named(acted.repository, acted.path);
    if (file == nullptr) continue;
    file->recorded_blob = acted.blob_id;
    file->recorded_error.clear();
    file->recorded_error_blob.clear();
    file->recorded_commit.clear();
    file->recorded_author.clear();
  }
  for (const auto& failed : written.failed) {
    auto* file = named(failed.repository, failed.path);
    if (file == nullptr) continue;
    file->recorded_error = failed.error;
    file->recorded_error_blob = failed.blob_id;
    file->recorded_commit = failed.commit_id;
    file->recorded_author = failed.author;
  }
}

}  // namespace opi::app
