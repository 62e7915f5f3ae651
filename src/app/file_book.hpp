#pragma once
/// @file
/// What became of every project file: its newest version, whether it was acted on, and what the control database knows
/// of that. No I/O.

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "provision/deployment_report.hpp"
#include "provision/project_manager.hpp"
#include "store/file_ledger.hpp"

namespace opi::app {

/// One version of one file, as it was seen.
struct FileSeen {
  std::string name;    ///< as the project manager calls it
  std::string ledger;  ///< the key of its branch in the file ledger
  std::string path;    ///< in the repository
  std::string blob;
  std::string commit;  ///< the head at which it was seen
  std::string author;  ///< of that head
};

/// The error of a file's newest version, and where it was first seen.
struct FileProblem {
  std::string error;
  std::string commit;
  std::string author;
};

/// Threading: one executor's thread. Errors: none.
class FileBook {
 public:
  /// What the control database knows of one branch. `prefix` is put before the paths, as `FileSeen::name` has it.
  void load(std::vector<store::FileRecord> records, const std::string& prefix);
  /// True when this version is a new one: head and author of the first sight are kept.
  bool saw(FileSeen seen);
  /// The newest version cannot be used; nothing of it is acted on.
  void unusable(const std::string& name, std::string error);
  void gone(std::string_view name);

  /// A pass over `files` (empty: all) begins: it is about the versions that are known now.
  void begin_pass(const std::vector<std::string>& files);
  /// What it has shown of them. A version that came meanwhile is not judged.
  void judge(const provision::ApplyReport& report, const provision::ProjectManager& projects);

  bool knows(std::string_view name) const { return find(name) != nullptr; }
  /// Was the newest version acted on with success? True for a file that is not known.
  bool succeeded(std::string_view name) const;
  /// Of the newest version; "" when it is fine or was not judged yet.
  FileProblem problem(std::string_view name) const;
  /// Where its newest version was first seen, without an error.
  FileProblem sight(std::string_view name) const;
  /// path → blob of what was acted on with success, of one branch; "" for a file that was acted on before our time and
  /// was not seen since, so that every version of it differs.
  std::map<std::string, std::string> acted_on(std::string_view ledger) const;
  /// path → blob that the control database has, of one branch.
  std::map<std::string, std::string> recorded(std::string_view ledger) const;
  std::vector<std::string> names() const;

  /// What is to be written, and that it was.
  struct ToRecord {
    std::vector<store::ActedFile> acted;
    std::vector<store::FailedFile> failed;
    bool empty() const noexcept { return acted.empty() && failed.empty(); }
  };
  ToRecord to_record(const provision::ProjectManager& projects) const;
  void recorded(const ToRecord& written);

 private:
  struct File {
    FileSeen seen;
    std::string error;          ///< "" when it was acted on with success
    bool judged = false;        ///< a pass has looked at this version, or it cannot be used
    bool unusable = false;      ///< it cannot be used
    std::string in_pass;        ///< the version that the pass that runs is about
    std::string recorded_blob;  ///< what the control database says: acted on with success
    std::string recorded_error;
    std::string recorded_error_blob;
    std::string recorded_commit;  ///< where the version with the error was first seen, also before our time
    std::string recorded_author;
  };
  const File* find(std::string_view name) const;
  static FileProblem first_sight(const File& file);

  std::map<std::string, File, std::less<>> files_;
};

}  // namespace opi::app
