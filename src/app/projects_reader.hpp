#pragma once
/// @file
/// Reads every project file of a repository into the project manager.

#include <map>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "app/settings_rooms.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "git/mirror.hpp"
#include "provision/project_manager.hpp"

namespace opi::app {

/// One file of a branch.
struct FileRead {
  std::string path;    ///< in the repository
  std::string blob;    ///< the version at the head
  bool usable = true;  ///< false: a link, a submodule, too large, no text; the last good version stays
};

/// One branch, as it was read.
struct BranchRead {
  std::string branch;
  std::string commit;  ///< "": the branch is missing, or no head of it was accepted
  std::string author;
  std::vector<FileRead> files;
};

/// What was read.
struct ProjectsRead {
  std::vector<BranchRead> branches;
  std::vector<Error> rejected;  ///< heads that are refused; files that cannot be read are the project manager's errors
};

/// path → blob of what was last acted on, by branch.
using LastActedOn = std::map<std::string, std::map<std::string, std::string>>;

/// Fetches the branches of `repository` and gives every matching file to `projects`; files that are gone are removed
/// there. A file that cannot be used never stops another; where `last` has an older version of a broken one that the
/// mirror still holds, that one is in force. An empty or missing branch removes nothing: unknown means keep. The
/// borrowed objects outlive the call. Errors: as git::Mirror::fetch.
Task<Result<ProjectsRead>> read_projects(Repository repository, git::Mirror* mirror,
                                         provision::ProjectManager* projects, LastActedOn last, Logger log,
                                         SteadyTime deadline);

/// Every error of every broken file, in the order of files and places; for those who print them.
std::vector<Error> project_errors(const provision::ProjectManager& projects);

}  // namespace opi::app
