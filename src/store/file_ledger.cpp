#include "store/file_ledger.hpp"

#include "store/json_rows.hpp"
#include "store/row_reader.hpp"

namespace opi::store {
namespace {
constexpr std::size_t error_bytes_max = 4096;
}

Task<Result<std::vector<FileRecord>>> load_files(pg::Connection* connection, std::string repository) {
  const auto rows = co_await connection->query(
      "SELECT repository, path, blob_id, project, commit_id, " + microseconds("acted_at") + ", error, error_blob_id, " +
          microseconds("error_at") +
          ", error_commit_id, error_author FROM opi.project_files WHERE repository = $1 ORDER BY path COLLATE \"C\"",
      {repository});
  if (!rows) co_return failure(rows.error());
  std::vector<FileRecord> files;
  files.reserve(static_cast<std::size_t>(rows->size()));
  for (const pg::Row row : *rows) {
    RowReader reader(row);
    FileRecord file;
    file.repository = reader.text();
    file.path = reader.text();
    file.blob_id = reader.text();
    file.project = reader.text();
    file.commit_id = reader.text();
    file.acted_at = reader.time_or_null();
    file.error = reader.text();
    file.error_blob_id = reader.text();
    file.error_at = reader.time_or_null();
    file.error_commit_id = reader.text();
    file.error_author = reader.text();
    files.push_back(std::move(file));
  }
  co_return files;
}

Task<Result<>> record_acted(pg::Connection* connection, std::vector<ActedFile> files) {
  if (files.empty()) co_return Result<>{};
  JsonRows rows;
  rows.reserve(files.size());
  for (const ActedFile& file : files) {
    rows.push_back(JsonRow{{"repository", file.repository},
                           {"path", file.path},
                           {"blob_id", file.blob_id},
                           {"project", file.project},
                           {"commit_id", file.commit_id}});
  }
  const auto recorded = co_await connection->query(
      "INSERT INTO opi.project_files (repository, path, blob_id, project, commit_id, acted_at) "
      "SELECT DISTINCT ON (repository, path) repository, path, blob_id, project, commit_id, now() "
      "FROM json_to_recordset($1::json) AS i(repository text, path text, blob_id text, project text, commit_id text) "
      "ORDER BY repository, path "
      "ON CONFLICT (repository, path) DO UPDATE SET blob_id = excluded.blob_id, project = excluded.project, "
      "commit_id = excluded.commit_id, acted_at = excluded.acted_at, error = '', error_blob_id = '', error_at = NULL, "
      "error_commit_id = '', error_author = ''",
      {rows_param(rows)});
  if (!recorded) co_return failure(recorded.error());
  co_return Result<>{};
}

Task<Result<>> record_failed(pg::Connection* connection, std::vector<FailedFile> files) {
  if (files.empty()) co_return Result<>{};
  JsonRows rows;
  rows.reserve(files.size());
  for (const FailedFile& file : files) {
    rows.push_back(JsonRow{{"repository", file.repository},
                           {"path", file.path},
                           {"blob_id", file.blob_id},
                           {"error", storable(file.error, error_bytes_max)},
                           {"commit_id", file.commit_id},
                           {"author", storable(file.author, error_bytes_max)}});
  }
  const auto recorded = co_await connection->query(
      "INSERT INTO opi.project_files (repository, path, error, error_blob_id, error_at, error_commit_id, error_author) "
      "SELECT DISTINCT ON (repository, path) repository, path, error, blob_id, now(), commit_id, author "
      "FROM json_to_recordset($1::json) AS i(repository text, path text, blob_id text, error text, commit_id text, "
      "author text) "
      "ORDER BY repository, path "
      "ON CONFLICT (repository, path) DO UPDATE SET error = excluded.error, error_blob_id = excluded.error_blob_id, "
      "error_at = excluded.error_at, error_commit_id = excluded.error_commit_id, error_author = excluded.error_author",
      {rows_param(rows)});
  if (!recorded) co_return failure(recorded.error());
  co_return Result<>{};
}

Task<Result<>> forget_files(pg::Connection* connection, std::string repository, std::vector<std::string> paths) {
  if (paths.empty()) co_return Result<>{};
  const auto gone = co_await connection->query(
      "DELETE FROM opi.project_files WHERE repository = $1 AND path = ANY ($2::text[])", {repository, paths});
  if (!gone) co_return failure(gone.error());
  co_return Result<>{};
}

}  // namespace opi::store
