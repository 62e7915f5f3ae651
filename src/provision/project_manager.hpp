#pragma once
/// @file
/// Holds the parsed projects, one for each project file, and the last good version of a file that broke.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "project/parser.hpp"
#include "provision/desired_state.hpp"

namespace opi::provision {

/// A file whose newest version could not be read.
struct BrokenFile {
  SourceRef source;                ///< the version that could not be read
  std::vector<Error> errors;       ///< in the order of their places; never empty
  bool last_good_version = false;  ///< an older version is still in force
};

/// The declarations in force. Owns no other manager.
/// Threading: one executor's thread; nothing suspends. Errors: values; a file that breaks changes nothing else.
class ProjectManager {
 public:
  explicit ProjectManager(project::ParseContext context = {}, project::ParseLimits limits = {});

  /// Takes a new version of `file`. Errors leave the last good version in force and are returned and kept; the same
  /// blob again is not parsed again.
  std::vector<Error> replace(std::string file, std::string blob, std::string commit, std::string_view text);
  /// The file is there, and its newest version cannot even be read (too large, not text): as a version that breaks.
  void reject(std::string file, std::string blob, std::string commit, Error why);
  /// The file is gone; its deployments are no longer declared.
  void remove(std::string_view file);

  /// In the order of their files. Valid until the next replace or remove.
  const std::vector<SourcedProject>& projects() const noexcept { return projects_; }
  /// Files whose newest version could not be read, by name.
  std::vector<BrokenFile> errors() const;
  /// Null when no project of that name is declared.
  const SourcedProject* find(std::string_view project) const noexcept;

 private:
  std::vector<SourcedProject>::iterator place_of(std::string_view file);

  project::ParseContext context_;
  project::ParseLimits limits_;
  std::vector<SourcedProject> projects_;  ///< sorted by file
  std::map<std::string, BrokenFile, std::less<>> broken_;
};

}  // namespace opi::provision
