#pragma once
/// @file
/// Where desired objects become true: an API server, or a repository that something else syncs to one.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "provision/cluster_objects.hpp"
#include "secrets/age.hpp"
#include "store/cluster_state.hpp"

namespace opi::provision {

/// How an object is found.
enum class Presence {
  absent,
  same,         ///< as it was written last, and nothing else is wanted
  different,    ///< ours, and not as it should be
  foreign,      ///< somebody else's; it is not touched
  terminating,  ///< it, or its namespace, is being deleted
};

struct ObservedObject {
  Presence presence = Presence::absent;
  std::string detail = {};   ///< different: the first field that is; foreign: whose it is
  std::string version = {};  ///< as store::ClusterObjectRow::version
};

/// An object to look at, and what we know of it. Borrowed.
struct LookedAt {
  const DesiredObject* object = nullptr;
  const store::ClusterObjectRow* known = nullptr;  ///< null: never written
};

/// Something to write or to remove. Move-only, as its data is.
struct ClusterWrite {
  DesiredObject object;
  std::optional<SecretData> data = {};  ///< of a Secret
  std::string content_hash = {};        ///< of `data`
  bool remove = false;
  std::string version = {};  ///< of what is to be removed
  /// Fields that somebody else has set are set back. Without it they are a conflict that names who did.
  bool force = false;
  std::vector<secrets::AgeRecipient> recipients = {};  ///< who can read it, where it is encrypted
};

struct Written {
  std::string version = {};
  std::vector<std::string> notes = {};  ///< who else had set a field of ours, and which
};

/// One thing that happened to an object.
struct ClusterEvent {
  DesiredObject object;
  std::string reason;   ///< "Created", "Corrected", "Restored", "Changed", "Refused", "Failed", "Removed"
  std::string message;  ///< without secrets
  bool warning = false;
  bool for_history_only = false;  ///< the cluster is not told
};

/// A commit of the gitops target, or nothing.
struct ClusterCommit {
  std::string id = {};    ///< empty: nothing was to be committed
  std::size_t files = 0;  ///< written or removed
  std::size_t attempts = 0;
};

/// Ownership: as the targets say. Threading: one executor's thread; calls may overlap. Errors: values; of `write`, one
/// for each object.
class ClusterTarget {
 public:
  virtual ~ClusterTarget() = default;

  /// "kubernetes" or "gitops", and where.
  virtual std::string describe() const = 0;
  /// Everything is written together in one commit; a Secret is handed over when that has landed.
  virtual bool writes_together() const noexcept = 0;
  /// How each object is found, in order. Reads only.
  virtual Task<Result<std::vector<ObservedObject>>> observe(std::vector<LookedAt> objects, SteadyTime deadline) = 0;
  /// What would come of writing, nothing is written: why each would be refused, and whose fields would be set back.
  /// Secrets come without their data. Where only writing shows it, nothing is said.
  virtual Task<std::vector<Result<Written>>> rehearse(std::vector<ClusterWrite> writes, SteadyTime deadline) = 0;
  /// Outcomes in the order of `writes`. An object of a namespace that could not be written fails with it. `message` is
  /// the commit's, where there is one.
  virtual Task<std::vector<Result<Written>>> write(std::vector<ClusterWrite> writes, std::string message,
                                                   SteadyTime deadline) = 0;
  /// Tells whoever looks at the cluster. What cannot be told is dropped: the history has it.
  virtual Task<> tell(std::vector<ClusterEvent> events, SteadyTime deadline) = 0;
};

}  // namespace opi::provision
