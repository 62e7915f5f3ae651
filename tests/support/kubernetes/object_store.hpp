#pragma once
/// @file
/// What an API server keeps, and what it makes of an apply: objects, versions, field owners. No I/O.
///
/// Source: Kubernetes documentation, "Server-Side Apply" and "API conventions". Lists are atomic here: those of the
/// kinds that we handle are, or have one owner.

#include <boost/json/object.hpp>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace opi::test {

namespace json = boost::json;

/// An answer that is not 2xx, as a Status object.
struct ApiFailure {
  int status = 500;
  json::object body;
};
ApiFailure api_failure(int status, std::string_view reason, std::string_view message, json::array causes = {});

/// A change as a watch shows it.
struct ApiEvent {
  std::uint64_t version = 0;
  std::string collection;  ///< "secrets", "namespaces" …
  std::string name_space;
  std::string type;  ///< ADDED, MODIFIED, DELETED
  json::object object;
};

/// One collection that the server knows.
struct ApiKind {
  std::string api_version;  ///< "v1"
  std::string plural;
  std::string kind;
  bool namespaced = true;
  std::set<std::string> fields;  ///< at the top, beside apiVersion, kind and metadata
};
const std::vector<ApiKind>& api_kinds();

/// Where an object is kept.
struct ApiKey {
  std::string plural;
  std::string name_space;
  std::string name;
  auto operator<=>(const ApiKey&) const = default;
};

struct ApiApply {
  std::string manager;
  bool force = false;
  bool dry_run = false;
};

/// Not synchronised.
class ObjectStore {
 public:
  using Answer = std::variant<json::object, ApiFailure>;

  Answer get(const ApiKey& key) const;
  Answer apply(const ApiKind& kind, const ApiKey& key, json::object wanted, const ApiApply& options);
  Answer create(const ApiKind& kind, ApiKey key, json::object object, const std::string& manager);
  /// Replaces it as another client would, `manager` owning what differs.
  Answer update(const ApiKey& key, json::object object, const std::string& manager);
  Answer remove(const ApiKey& key, const std::string& uid);

  /// All of a collection, in the order of their keys.
  std::vector<json::object> list(const std::string& plural, const std::string& name_space) const;
  std::uint64_t version() const noexcept { return version_; }
  /// The changes after `version`; none when they are forgotten.
  std::optional<std::vector<ApiEvent>> since(std::uint64_t version) const;
  /// As the server's compaction does: nothing of before can be asked for any more.
  void forget_history();
  /// A namespace that is being deleted: it stays, and refuses what is new in it.
  void begin_termination(const std::string& name_space);
  std::size_t size() const noexcept { return objects_.size(); }

 private:
  /// A field's path, e.g. "metadata/labels/a", joined by a byte that no name has.
  using Fields = std::set<std::string>;
  struct Entry {
    json::object object;
    std::map<std::string, Fields> owners;
  };
  std::optional<ApiFailure> refuse_new(const ApiKind& kind, const ApiKey& key, const json::object& object) const;
  Answer stored(const ApiKey& key, Entry entry, bool dry_run);
  void note(const std::string& type, const ApiKey& key, const json::object& object);
  static json::object shown(const Entry& entry);

  std::map<ApiKey, Entry> objects_;
  std::deque<ApiEvent> history_;
  std::uint64_t version_ = 100;
  std::uint64_t forgotten_ = 0;
  std::uint64_t uids_ = 0;
};

}  // namespace opi::test
