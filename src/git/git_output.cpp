#include "git/git_output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "git/git_environment.hpp"
#include "git/path_pattern.hpp"

namespace opi::git {

namespace {

constexpr std::size_t path_bytes_max = 4'096;

/// Cuts off and returns what stands before `end`; nothing when it does not occur.
std::optional<std::string_view> take_until(std::string_view& text, char end) {
  const auto at = text.find(end);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(at + 1);
  return part;
}

template <class Number>
std::optional<Number> number_of(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::unexpected<Error> strange(std::string_view what) {
  return failure(ErrorKind::internal, fmt::format("git {} printed something unknown", what));
}

/// One entry of a tree.
struct Entry {
  std::string_view mode, type, id, path;
  std::optional<std::size_t> size;
};

std::optional<Entry> parse_entry(std::string_view text) {
  const auto tab = text.find('\t');
  if (tab == std::string_view::npos) return std::nullopt;
  Entry entry{.path = text.substr(tab + 1)};
  std::string_view head = text.substr(0, tab);
  const auto mode = take_until(head, ' ');
  const auto type = take_until(head, ' ');
  const auto id = take_until(head, ' ');
  if (!mode || !type || !id || !is_object_id(*id) || entry.path.empty()) return std::nullopt;
  entry.mode = *mode;
  entry.type = *type;
  entry.id = *id;
  entry.size = number_of<std::size_t>(head.substr(std::min(head.find_first_not_of(' '), head.size())));
  return entry;
}

/// Why an entry that matches cannot be used.
std::optional<Error> unusable_entry(const Entry& entry, const MirrorSettings& settings) {
  const std::string path = clean_line(entry.path, 300);
  if (entry.mode == "120000")
    return Error(ErrorKind::unsupported, fmt::format("{} is a symbolic link", path))
        .with_remedy("put the file itself there");
  if (entry.mode == "160000" || entry.type == "commit")
    return Error(ErrorKind::unsupported, fmt::format("{} is a submodule", path))
        .with_remedy("keep project files in the repository itself");
  if (entry.path.size() > path_bytes_max || path.size() != std::min<std::size_t>(entry.path.size(), 300) ||
      path != entry.path.substr(0, 300))
    return Error(ErrorKind::invalid, fmt::format("the name of {} holds control characters or is too long", path));
  if (!entry.size) return Error(ErrorKind::internal, fmt::format("{} has no size", path));
  if (*entry.size > settings.limits.file_bytes_max)
    return Error(ErrorKind::exhausted, fmt::format("{} has {} bytes, at most {} are read", path, *entry.size,
                                                   settings.limits.file_bytes_max));
  return std::nullopt;
}

bool selected(const Entry& entry, const std::vector<std::string>& patterns) {
  const bool submodule = entry.type == "commit";
  return std::ranges::any_of(patterns, [&](const std::string& pattern) {
    return path_matches(pattern, entry.path) || (submodule && may_match_below(pattern, entry.path));
  });
}

}  // namespace

bool is_object_id(std::string_view text) noexcept {
  return (text.size() == 40 || text.size() == 64) &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<Head> parse_remote_head(std::string_view output, std::string_view ref) {
  while (!output.empty()) {
    const auto line = take_until(output, '\n');
    if (!line) return strange("ls-remote");
    std::string_view rest = *line;
    const auto id = take_until(rest, '\t');
    if (!id || !is_object_id(*id)) return strange("ls-remote");
    // The pattern also matches "refs/remotes/x/refs/heads/main": only the exact name counts.
    if (rest == ref) return Head{.commit = std::string(*id)};
  }
  return Head{};
}

Result<Snapshot> parse_commit(std::string_view line) {
  const auto id = take_until(line, '\0');
  const auto time = take_until(line, '\0');
  const auto seconds = time ? number_of<std::int64_t>(*time) : std::nullopt;
  if (!id || !is_object_id(*id) || !seconds) return strange("log");
  // A commit may claim any time; the clock's nanoseconds end in 2262.
  constexpr std::int64_t latest = std::chrono::floor<std::chrono::seconds>(WallTime::max().time_since_epoch()).count();
  Snapshot snapshot{.commit = std::string(*id), .author = clean_line(line, 300)};
  snapshot.committed = WallTime(std::chrono::seconds(std::clamp<std::int64_t>(*seconds, 0, latest)));
  return snapshot;
}

Result<> parse_tree(std::string_view output, const MirrorSettings& settings, Snapshot& into) {
  while (!output.empty()) {
    const auto text = take_until(output, '\0');
    const auto entry = text ? parse_entry(*text) : std::nullopt;
    if (!entry) return strange("ls-tree");
    if (!selected(*entry, settings.patterns)) continue;
    if (into.files.size() + into.rejected.size() >= settings.limits.files_max)
      return failure(Error(ErrorKind::exhausted,
                           fmt::format("{} has more than {} matching files", settings.name, settings.limits.files_max))
                         .handled_by(Handling::needs_person));
    if (auto error = unusable_entry(*entry, settings))
      into.rejected.push_back(
          {.path = std::string(entry->path), .blob = std::string(entry->id), .error = *std::move(error)});
    else
      into.files.push_back({.path = std::string(entry->path), .blob = std::string(entry->id), .size = *entry->size});
  }
  std::ranges::sort(into.files, {}, &FileBlob::path);
  std::ranges::sort(into.rejected, {}, &RejectedFile::path);
  return {};
}

Result<std::vector<std::string>> parse_batch(std::string_view output, const std::vector<FileBlob>& files) {
  std::vector<std::string> contents;
  contents.reserve(files.size());
  std::string_view rest = output;
  for (const auto& file : files) {
    const auto header = take_until(rest, '\n');
    if (!header) return strange("cat-file");
    std::string_view words = *header;
    if (words.ends_with(" missing"))
      return failure(ErrorKind::not_found, fmt::format("{} is not in the mirror", clean_line(file.path, 300)));
    const auto id = take_until(words, ' ');
    const auto type = take_until(words, ' ');
    const auto size = number_of<std::size_t>(words);
    if (!id || *id != file.blob || !type || *type != "blob" || !size || rest.size() < *size + 1 || rest[*size] != '\n')
      return strange("cat-file");
    contents.emplace_back(rest.substr(0, *size));
    rest.remove_prefix(*size + 1);
  }
  return contents;
}

std::optional<Error> unusable_content(std::string_view path, std::string_view content) {
  if (content.starts_with("version https://git-lfs.github.com/spec/"))
    return Error(ErrorKind::unsupported, fmt::format("{} is a Git LFS pointer", clean_line(path, 300)))
        .with_remedy("store project files in Git itself");
  if (content.contains('\0'))
    return Error(ErrorKind::invalid, fmt::format("{} is not a text file", clean_line(path, 300)));
  return std::nullopt;
}

}  // namespace opi::git
