#pragma once
/// @file
/// Reads objects of a repository through one long-lived `git cat-file --batch-command`.

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "aio/child_process.hpp"
#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

namespace opi::git {

/// What an object is. `type` is "commit", "tree", "blob" or "tag".
struct ObjectInfo {
  std::string type;
  std::size_t size = 0;  ///< in bytes
};

/// The code of errors that mean that the repository lacks an object or cannot read it.
inline constexpr std::string_view damaged_code = "damaged";

/// Ownership: owns the child, which is started by the first question and ends with `close()` or the reader. Threading:
/// one executor's thread; one question at a time. Cancellation and every failure end the child; the next question
/// starts another. Errors: timed_out, cancelled, exhausted (more bytes than asked for), internal with `damaged_code`,
/// and those of starting a child. Protocol: git-cat-file(1), BATCH OUTPUT.
class ObjectReader {
 public:
  /// `settings` gives the child's arguments, environment and directory, each time that one is started.
  explicit ObjectReader(std::function<aio::ChildSettings()> settings);

  /// Type and size of each object, in order; nothing for one that is missing.
  Task<Result<std::vector<std::optional<ObjectInfo>>>> describe(std::vector<std::string> ids, SteadyTime deadline);
  /// The content of each object, in order. A missing one fails the whole. The caller bounds the sum of sizes by
  /// describing them first; `bytes_max` holds it to that.
  Task<Result<std::vector<std::string>>> contents(std::vector<std::string> ids, std::size_t bytes_max,
                                                  SteadyTime deadline);

  /// Ends the child. It is started again when it is needed.
  Task<> close();
  bool running() const noexcept { return child_.has_value(); }

 private:
  struct Answer;
  Task<Result<std::vector<Answer>>> ask(std::string command, std::vector<std::string> ids, std::size_t bytes_max,
                                        SteadyTime deadline);
  Task<Result<std::vector<Answer>>> converse(std::string input, std::size_t count, bool with_content,
                                             std::size_t bytes_max);
  Task<Result<std::string>> read_line();
  Task<Result<>> read_more(std::size_t wanted);

  std::function<aio::ChildSettings()> settings_;
  std::optional<aio::ChildProcess> child_;
  std::string buffer_;  ///< read and not used yet
  std::size_t used_ = 0;
};

/// One line of `cat-file`: "id type size". Nothing for "id missing". Errors: internal (anything else).
Result<std::optional<ObjectInfo>> parse_object_info(std::string_view line, std::string_view id);

}  // namespace opi::git
