#pragma once
/// @file
/// Follows a collection: first everything that is there, then each change, across lost connections and gaps.
///
/// Source: Kubernetes API concepts, "Efficient detection of changes".

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/backoff.hpp"
#include "kube/client.hpp"

namespace opi::kube {

/// Everything that is there now: at the beginning, and again after a gap in which changes may have been missed.
struct Listed {
  std::vector<Object> objects;
};
/// One change; for `deleted` the object as it was last.
struct Changed {
  enum class Kind { added, modified, deleted };
  Kind kind = Kind::added;
  Object object;
};
using WatchEvent = std::variant<Listed, Changed>;

/// One line of a watch, sans I/O.
struct WatchLine {
  enum class Kind { change, bookmark, gone, failed };
  Kind kind = Kind::failed;
  Changed change = {};
  std::string resource_version = {};
  Error error = {};
};
/// Never throws on input; what is no event is `failed`.
WatchLine parse_watch_line(std::string_view line);

struct WatchOptions {
  std::string name_space = {};  ///< empty: all
  std::string label_selector = {};
  std::chrono::seconds server_timeout{300};  ///< the server is asked to end each stream after it
  std::chrono::seconds silence_max{360};     ///< a stream on which nothing came for so long is dead
  std::size_t line_bytes_max = 4 << 20;
};

/// Ownership: the client outlives it. Threading: one executor's thread, one `next` at a time.
class Watch {
 public:
  Watch(Client& client, ResourceKind kind, WatchOptions options);

  /// The next event. A stream that ends or breaks is opened again from the last version seen, which is no event; a
  /// version that the server has forgotten (410) is a new Listed. Errors: timed_out (nothing came until the deadline:
  /// call it again), those of Client::list when the server cannot be asked, cancelled. After an error `next` goes on
  /// where it was.
  Task<Result<WatchEvent>> next(SteadyTime deadline);

 private:
  Task<Result<WatchEvent>> list(SteadyTime deadline);
  Task<Result<>> read_more(SteadyTime deadline);
  std::optional<std::string> take_line();
  void drop() noexcept;

  Client& client_;
  ResourceKind kind_;
  WatchOptions options_;
  std::string version_;  ///< empty: list first
  std::optional<rest::ResponseStream> stream_;
  std::string pending_;
  SteadyTime heard_{};
  bool silent_ = false;  ///< nothing came on this stream yet
  Backoff pause_;        ///< before a stream is opened again on which nothing came
};

}  // namespace opi::kube
