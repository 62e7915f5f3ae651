#pragma once
/// @file
/// The API client: objects read, listed, applied and deleted, with deadlines, retries and a rate of its own.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "aio/blocking_pool.hpp"
#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "kube/access.hpp"
#include "kube/resource.hpp"
#include "rest/client.hpp"

namespace opi::kube {

/// How the client behaves.
struct ClientOptions {
  std::string field_manager = "operations-manager";
  std::uint32_t connections_max = 8;
  double requests_per_second = 50;  ///< 0: no limit
  double requests_burst = 100;
  std::uint32_t attempts_max = 6;     ///< of one call, the first one included
  std::uint32_t page_size = 500;      ///< objects asked for in one list request
  std::size_t objects_max = 100'000;  ///< of one list
  std::chrono::milliseconds first_backoff{200};
};

/// All objects of a list at one version of the collection.
struct Listing {
  std::vector<Object> objects;
  std::string resource_version;  ///< what a watch goes on from
};

struct ApplyOptions {
  bool dry_run = false;  ///< the server says what would become of it and stores nothing
  /// Takes over fields that another manager owns. Without it such a field is a conflict that names the manager.
  bool force = false;
};

/// Requests by what became of them.
struct ClientStats {
  std::uint64_t requests = 0;  ///< sent to the API server, repetitions included
  std::uint64_t writes = 0;    ///< of those, the ones that may change something
  std::uint64_t retries = 0;
  std::uint64_t throttled = 0;  ///< answered 429
  rest::ClientStats http;
};

/// The client.
///
/// Ownership: the executor's context, the blocking pool and the log outlive it. Threading: one executor's thread.
/// Cancellation: terminal cancellation ends a call with ErrorKind::cancelled; whether the server did it is then
/// unknown. Errors: those of `error_of` and of rest::Client; every message begins with the object. Calls that end in
/// the same state when they are done twice are tried again until the deadline, at most `attempts_max` times: after 429
/// and 503 as Retry-After says, after other 5xx and lost connections with backoff; once with fresh credentials after
/// 401, and after a connection that was refused or lost when they are a certificate.
class Client {
 public:
  Client(ClusterAccess access, ClientOptions options, aio::BlockingPool& blocking, Logger log);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// not_found when the server says that there is none.
  Task<Result<Object>> get(ObjectName object, SteadyTime deadline);
  /// Page by page. `name_space` empty: of all namespaces. A version that is gone meanwhile begins anew, once.
  Task<Result<Listing>> list(ResourceKind kind, std::string name_space, std::string label_selector,
                             SteadyTime deadline);
  /// Server-side apply: the fields of `object` become ours and as given, fields that we owned and that are not in it
  /// go, all others stay. Unknown and duplicate fields are refused by the server (fieldValidation=Strict). The result
  /// is the object as it is stored.
  Task<Result<Object>> apply(ResourceKind kind, Object object, ApplyOptions options, SteadyTime deadline);
  /// Makes a new one; `generateName` is understood. Not repeated once the server may have it.
  Task<Result<Object>> create(ResourceKind kind, Object object, SteadyTime deadline);
  /// Only while its uid is `uid`: a new object of the same name is another one (conflict). not_found when it is gone.
  Task<Result<>> remove(ObjectName object, std::string uid, SteadyTime deadline);
  /// The stream of a watch from `resource_version` on, for Watch. Bookmarks are asked for; the server ends it after
  /// `server_timeout`.
  Task<Result<rest::ResponseStream>> open_watch(ResourceKind kind, std::string name_space, std::string label_selector,
                                                std::string resource_version, std::chrono::seconds server_timeout,
                                                SteadyTime deadline);
  /// "v1.31.2": whether the server is there and takes our credentials.
  Task<Result<std::string>> server_version(SteadyTime deadline);

  /// Refuses new calls. Running ones end by themselves.
  void close() noexcept;
  ClientStats stats() const noexcept;
  const std::string& address() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace opi::kube
