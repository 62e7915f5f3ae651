#pragma once
/// @file
/// Which version of each project file was acted on: what the Git monitor is given to find changes.

#include <optional>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"

namespace opi::store {

/// One project file of one repository.
struct FileRecord {
  std::string repository;
  std::string path;
  std::string blob_id;  ///< last acted on with success; empty: never
  std::string project;  ///< the project it declared then
  std::string commit_id;
  std::optional<WallTime> acted_at = {};
  std::string error;  ///< of the last try, one line; empty: it succeeded
  std::string error_blob_id;
  std::optional<WallTime> error_at = {};
  std::string error_commit_id = {};  ///< the head at which that version was first seen
  std::string error_author = {};     ///< of that head, "Name <address>"
};

/// A file that was acted on with success; clears its error.
struct ActedFile {
  std::string repository, path, blob_id, project, commit_id;
};

/// A file whose version could not be acted on; what succeeded before stays recorded.
struct FailedFile {
  std::string repository, path, blob_id, error;
  std::string commit_id = {}, author = {};  ///< of the head at which the version was first seen
};

/// All of one repository, by path. One statement.
Task<Result<std::vector<FileRecord>>> load_files(pg::Connection* connection, std::string repository);
/// One statement each, whatever the number.
Task<Result<>> record_acted(pg::Connection* connection, std::vector<ActedFile> files);
Task<Result<>> record_failed(pg::Connection* connection, std::vector<FailedFile> files);
/// The files are gone from the repository, and that was acted on.
Task<Result<>> forget_files(pg::Connection* connection, std::string repository, std::vector<std::string> paths);

}  // namespace opi::store
