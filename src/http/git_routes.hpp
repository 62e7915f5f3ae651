#pragma once
/// @file
/// Where Git hosts knock, and where people say which repositories and projects are to be left alone or looked at now.

#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/result.hpp"
#include "git/webhook.hpp"
#include "http/router.hpp"
#include "http/snapshot.hpp"

namespace opi::http {

/// What can be said to what follows repositories. On the server's executor. Ownership: outlives the server.
/// Errors: not_found (no such repository or project), conflict (reconcile while it is suspended), unavailable.
class GitControl {
 public:
  enum class Kind { repository, project };
  virtual ~GitControl() = default;
  virtual Task<Result<>> suspend(Kind kind, std::string name, std::string reason) = 0;
  virtual Task<Result<>> resume(Kind kind, std::string name) = 0;
  /// Begins at once and does not wait for the end.
  virtual Task<Result<>> reconcile(Kind kind, std::string name) = 0;
};

/// POST /hooks/git, and /hooks/git/{repository} for one whose URL the sender does not know. Anyone may call them: the
/// signature decides. 202 at once when it is genuine, whatever it is about; 401 without a known signature; 400 when it
/// cannot be understood. The body is limited like every other. `receiver` outlives the server.
std::vector<Route> webhook_routes(git::WebhookReceiver* receiver);

/// From this machine, with `Content-Type: application/json`, which no page of another site can send:
///   GET  /api/v1/repositories
///   POST /api/v1/{repositories,projects}/{name}/{suspend,resume,reconcile}, the body empty or {"reason": "…"}
std::vector<Route> git_control_routes(const StatusSource* source, GitControl* control);

}  // namespace opi::http
