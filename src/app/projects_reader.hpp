#pragma once
/// @file
/// Reads every project file of the repository into the project manager.

#include <map>
#include <string>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "git/mirror.hpp"
#include "provision/project_manager.hpp"

namespace opi::app {

/// What was read.
struct ProjectsRead {
  std::string commit;  ///< empty: the branch is empty or missing
  std::map<std::string, std::string, std::less<>>
      blobs;                    ///< path → blob id of every file that matches, broken ones too
  std::vector<Error> rejected;  ///< links, submodules, files that are too large or no text
};

/// Fetches the branch and gives every matching file to `projects`; files that are gone from it are removed there. A
/// file that cannot be used never stops another. An empty or missing branch removes nothing: unknown means keep. The
/// borrowed objects outlive the call. Errors: as git::Mirror::fetch.
Task<Result<ProjectsRead>> read_projects(git::Mirror* mirror, provision::ProjectManager* projects, Logger log,
                                         SteadyTime deadline);

/// Every error of every broken file, in the order of files and places; for those who print them.
std::vector<Error> project_errors(const provision::ProjectManager& projects);

}  // namespace opi::app
