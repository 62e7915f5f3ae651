#include "git/change_tracker.hpp"

#include <algorithm>

namespace opi::git {

std::string_view to_string(ChangeKind kind) noexcept {
  switch (kind) {
    case ChangeKind::added: return "added";
    case ChangeKind::changed: return "changed";
    case ChangeKind::removed: return "removed";
  }
  return "changed";
}

namespace {

bool contains_path(const auto& sorted, const std::string& path, auto member) {
  const auto found = std::ranges::lower_bound(sorted, path, {}, member);
  return found != sorted.end() && (*found).*member == path;
}

}  // namespace

ChangeKind ChangeTracker::kind_of(const FileBlob& file) const {
  return acted_on_.contains(file.path) ? ChangeKind::changed : ChangeKind::added;
}

/// What waits, waits with one content: a new one is offered at once.
void ChangeTracker::forget_what_moved(const Snapshot& snapshot) {
  if (waiting_.empty()) return;
  std::map<std::string, const std::string*> blobs;
  for (const auto& file : snapshot.files) blobs.emplace(file.path, &file.blob);
  for (const auto& file : snapshot.rejected) blobs.emplace(file.path, &file.blob);
  std::erase_if(waiting_, [&](const auto& entry) {
    const auto& [path, waiting] = entry;
    if (const auto found = blobs.find(path); found != blobs.end()) return *found->second != waiting.blob;
    const auto acted = acted_on_.find(path);  // waits to be removed
    return acted == acted_on_.end() || acted->second != waiting.blob || waiting.error.size() > 0;
  });
}

Wanted ChangeTracker::wanted(const Snapshot& snapshot, SteadyTime now, bool impatient) {
  Wanted wanted;
  if (snapshot.empty) return wanted;
  forget_what_moved(snapshot);
  const auto due = [&](const std::string& path) {
    const auto found = waiting_.find(path);
    if (found == waiting_.end()) return true;
    return found->second.backoff.has_value() && (impatient || found->second.not_before <= now);
  };
  for (const auto& file : snapshot.files) {
    const auto acted = acted_on_.find(file.path);
    const bool same = acted != acted_on_.end() && acted->second == file.blob;
    if (same)
      waiting_.erase(file.path);
    else if (due(file.path))
      wanted.present.push_back(file);
  }
  for (const auto& [path, blob] : acted_on_) {
    if (contains_path(snapshot.files, path, &FileBlob::path)) continue;
    if (contains_path(snapshot.rejected, path, &RejectedFile::path)) continue;
    if (due(path)) wanted.removed.push_back({.path = path, .blob = blob});
  }
  for (const auto& file : snapshot.rejected) {
    if (waiting_.contains(file.path)) continue;
    rejected(file, snapshot);
    wanted.rejected.push_back(file);
  }
  return wanted;
}

void ChangeTracker::succeeded(const std::string& path, const std::string& blob) {
  acted_on_.insert_or_assign(path, blob);
  waiting_.erase(path);
}

void ChangeTracker::removed(const std::string& path) {
  acted_on_.erase(path);
  waiting_.erase(path);
}

void ChangeTracker::failed(const FileBlob& file, const Snapshot& snapshot, SteadyTime now) {
  auto& waiting = waiting_[file.path];
  if (!waiting.backoff) {
    waiting = Waiting{.blob = file.blob, .error = {}, .commit = snapshot.commit, .author = snapshot.author};
    waiting.backoff.emplace(limits_, seed_ + std::hash<std::string>{}(file.path));
  }
  waiting.not_before = now + waiting.backoff->next();
}

void ChangeTracker::rejected(const RejectedFile& file, const Snapshot& snapshot) {
  waiting_.insert_or_assign(
      file.path,
      Waiting{
          .blob = file.blob, .error = file.error.to_string(), .commit = snapshot.commit, .author = snapshot.author});
}

std::optional<SteadyTime> ChangeTracker::next_offer() const {
  std::optional<SteadyTime> first;
  for (const auto& [path, waiting] : waiting_)
    if (waiting.backoff && (!first || waiting.not_before < *first)) first = waiting.not_before;
  return first;
}

std::vector<std::string> ChangeTracker::in_force() const {
  std::vector<std::string> blobs;
  for (const auto& [path, waiting] : waiting_) {
    const auto acted = acted_on_.find(path);
    if (acted != acted_on_.end() && acted->second != waiting.blob) blobs.push_back(acted->second);
  }
  return blobs;
}

std::vector<WaitingFile> ChangeTracker::waiting() const {
  std::vector<WaitingFile> out;
  out.reserve(waiting_.size());
  for (const auto& [path, waiting] : waiting_)
    out.push_back({.path = path,
                   .blob = waiting.blob,
                   .attempts = waiting.backoff ? waiting.backoff->attempts() : 0,
                   .error = waiting.error,
                   .seen_at_commit = waiting.commit,
                   .seen_author = waiting.author});
  return out;
}

}  // namespace opi::git
