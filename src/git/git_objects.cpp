#include "git/git_objects.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "git/git_environment.hpp"
#include "git/git_output.hpp"
#include "git/path_pattern.hpp"

namespace opi::git {

namespace {

constexpr std::size_t path_bytes_max = 4'096;
constexpr std::size_t shown_max = 300;
constexpr int depth_max = 64;

std::unexpected<Error> strange(std::string_view what) {
  return failure(ErrorKind::internal, fmt::format("a {} of the repository is not one", what));
}

/// Cuts off and returns one line of a commit's head, without its end; nothing at the blank line or the end.
std::optional<std::string_view> take_header(std::string_view& text) {
  const auto end = text.find('\n');
  if (end == 0 || text.empty()) return std::nullopt;
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(text.size(), line.size() + 1));
  return line;
}

/// "Name <address> 1700000000 +0100": the seconds.
std::int64_t seconds_of(std::string_view line) {
  const auto bracket = line.rfind("> ");
  std::int64_t seconds = 0;
  if (bracket == std::string_view::npos) return 0;
  const std::string_view digits = line.substr(bracket + 2);
  std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
  return std::max<std::int64_t>(seconds, 0);
}

std::string name_of(std::string_view line) {
  const auto bracket = line.rfind('>');
  return clean_line(line.substr(0, bracket == std::string_view::npos ? bracket : bracket + 1), shown_max);
}

std::string hex_of(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += digits[byte >> 4U];
    out += digits[byte & 15U];
  }
  return out;
}

/// One entry of a tree.
struct Entry {
  std::string_view mode;
  std::string path;
  std::string id;

  bool directory() const { return mode == "40000"; }
  bool submodule() const { return mode == "160000"; }
};

std::optional<Entry> take_entry(std::string_view& raw, std::size_t id_bytes, const std::string& below) {
  const auto space = raw.find(' ');
  const auto end = raw.find('\0');
  if (space == std::string_view::npos || end == std::string_view::npos || space > end || raw.size() - end <= id_bytes)
    return std::nullopt;
  const std::string_view name = raw.substr(space + 1, end - space - 1);
  if (name.empty() || name.contains('/')) return std::nullopt;
  Entry entry{.mode = raw.substr(0, space),
              .path = below.empty() ? std::string(name) : fmt::format("{}/{}", below, name),
              .id = hex_of(raw.substr(end + 1, id_bytes))};
  raw.remove_prefix(end + 1 + id_bytes);
  return entry;
}

/// Why an entry that matches cannot be used.
std::optional<Error> unusable_entry(const Entry& entry) {
  const std::string path = clean_line(entry.path, shown_max);
  if (entry.mode == "120000")
    return Error(ErrorKind::unsupported, fmt::format("{} is a symbolic link", path))
        .with_remedy("put the file itself there");
  if (entry.submodule())
    return Error(ErrorKind::unsupported, fmt::format("{} is a submodule", path))
        .with_remedy("keep project files in the repository itself");
  if (entry.path.size() > path_bytes_max || path != entry.path.substr(0, shown_max))
    return Error(ErrorKind::invalid, fmt::format("the name of {} holds control characters or is too long", path));
  return std::nullopt;
}

bool selected(const Entry& entry, const std::vector<std::string>& patterns) {
  return std::ranges::any_of(patterns, [&](const std::string& pattern) {
    return path_matches(pattern, entry.path) || (entry.submodule() && may_match_below(pattern, entry.path));
  });
}

bool may_hold(const Entry& entry, const std::vector<std::string>& patterns) {
  return std::ranges::any_of(patterns,
                             [&](const std::string& pattern) { return may_match_below(pattern, entry.path); });
}

}  // namespace

Result<CommitObject> parse_commit(std::string_view raw) {
  CommitObject commit;
  for (auto line = take_header(raw); line; line = take_header(raw)) {
    if (line->starts_with("tree ") && commit.tree.empty()) commit.tree = line->substr(5);
    if (line->starts_with("author ") && commit.author.empty()) commit.author = name_of(line->substr(7));
    if (line->starts_with("committer ")) {
      // A commit may claim any time; the clock's nanoseconds end in 2262.
      constexpr std::int64_t latest =
          std::chrono::floor<std::chrono::seconds>(WallTime::max().time_since_epoch()).count();
      commit.committed = WallTime(std::chrono::seconds(std::min(seconds_of(*line), latest)));
    }
  }
  if (!is_object_id(commit.tree)) return strange("commit");
  return commit;
}

Result<SignedCommit> split_signature(std::string_view raw, bool sha256) {
  const std::string_view ours = sha256 ? "gpgsig-sha256 " : "gpgsig ";
  SignedCommit commit;
  if (!raw.starts_with("tree ")) return strange("commit");
  bool in_signature = false;
  bool in_other = false;
  for (auto line = take_header(raw); line; line = take_header(raw)) {
    if (line->starts_with(' ') && (in_signature || in_other)) {
      if (in_signature) commit.signature.append(line->substr(1)).append("\n");
      continue;
    }
    in_signature = in_other = false;
    if (line->starts_with(ours) && commit.signature.empty()) {
      in_signature = true;
      commit.signature.append(line->substr(ours.size())).append("\n");
      continue;
    }
    if (line->starts_with("gpgsig ") || line->starts_with("gpgsig-sha256 ")) {
      in_other = true;
      continue;
    }
    if (line->starts_with("committer ")) commit.committed = seconds_of(*line);
    commit.payload.append(*line).append("\n");
  }
  commit.payload.append(raw);  // the blank line and the message
  return commit;
}

Result<> parse_tree(std::string_view raw, std::size_t id_bytes, const Directory& directory,
                    const MirrorSettings& settings, Snapshot& into, std::vector<Directory>& below) {
  if (std::ranges::count(directory.path, '/') >= depth_max)
    return failure(
        Error(ErrorKind::exhausted, fmt::format("{} has directories more than {} deep", settings.name, depth_max))
            .handled_by(Handling::needs_person));
  while (!raw.empty()) {
    auto entry = take_entry(raw, id_bytes, directory.path);
    if (!entry) return strange("tree");
    if (entry->directory()) {
      if (may_hold(*entry, settings.patterns))
        below.push_back({.path = std::move(entry->path), .tree = std::move(entry->id)});
      continue;
    }
    if (!selected(*entry, settings.patterns)) continue;
    if (into.files.size() + into.rejected.size() >= settings.limits.files_max)
      return failure(Error(ErrorKind::exhausted,
                           fmt::format("{} has more than {} matching files", settings.name, settings.limits.files_max))
                         .handled_by(Handling::needs_person));
    if (auto error = unusable_entry(*entry))
      into.rejected.push_back(
          {.path = std::move(entry->path), .blob = std::move(entry->id), .error = *std::move(error)});
    else
      into.files.push_back({.path = std::move(entry->path), .blob = std::move(entry->id)});
  }
  return {};
}

std::optional<Error> unusable_content(std::string_view path, std::string_view content) {
  if (content.starts_with("version https://git-lfs.github.com/spec/"))
    return Error(ErrorKind::unsupported, fmt::format("{} is a Git LFS pointer", clean_line(path, shown_max)))
        .with_remedy("store project files in Git itself");
  if (content.contains('\0'))
    return Error(ErrorKind::invalid, fmt::format("{} is not a text file", clean_line(path, shown_max)));
  return std::nullopt;
}

}  // namespace opi::git
