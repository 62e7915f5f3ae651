#pragma once
/// @file
/// Webhooks of Git hosts: whether one is genuine, what it says has moved, and who is to be woken. A hint, never a
/// truth: whatever it says, the repository itself is asked.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/secret_string.hpp"

namespace opi::git {

/// A request as it came; names of headers in lower case. Everything in it is hostile.
struct WebhookRequest {
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  /// The first value of a header, or "".
  std::string_view header(std::string_view name) const noexcept;
};

/// Does the request carry a proof of `secret`? Compared in constant time. Known are
///   X-Hub-Signature-256 (GitHub, Forgejo, Gitea), X-Hub-Signature (Bitbucket; sha256 only), X-Signature-256 and
///   X-Signature (generic): "sha256=" or "sha512=" and the HMAC of the body in hex,
///   X-Forgejo-Signature, X-Gitea-Signature, X-Gogs-Signature: the HMAC-SHA-256 of the body in hex,
///   X-Gitlab-Token: the secret itself.
/// SHA-1 is not taken. Pure.
bool proves(const WebhookRequest& request, const SecretString& secret);

/// What a request says.
struct PushHint {
  std::string provider;               ///< "github", "gitlab", "forgejo", "gitea", "bitbucket" or "generic"
  bool push = true;                   ///< false: a ping or another event that moves no branch
  std::vector<std::string> paths;     ///< of the repository, as `repository_path` makes them; empty: it names none
  std::vector<std::string> branches;  ///< that moved; empty: it names none
};

/// Reads the headers and the JSON body (or the form field `payload` that holds it). A generic request may have an empty
/// body. Errors: invalid (no JSON, too deep). Pure.
Result<PushHint> parse_push(const WebhookRequest& request);

/// What two URLs of one repository have in common, whichever protocol or host name leads there: the path in lower case,
/// without slashes around it and ".git". Pure.
std::string repository_path(std::string_view url);

/// A repository that webhooks can wake.
struct WebhookTarget {
  std::string name;
  std::string url;
  std::vector<std::string> branches;
  std::function<Result<SecretString>()> secret;  ///< asked for each request, so that a rotated one is picked up
  std::function<void()> wake;                    ///< quick; called once for each genuine request
};

/// What became of one request.
enum class WebhookOutcome {
  woken,    ///< at least one repository
  ignored,  ///< genuine, and about nothing that is followed
  refused,  ///< no proof of a secret that we know
  invalid,  ///< genuine, and not to be understood
};

struct WebhookCounters {
  std::uint64_t woken = 0;
  std::uint64_t ignored = 0;
  std::uint64_t refused = 0;
  std::uint64_t invalid = 0;
};

/// Threading: one executor's thread; nothing suspends. Ownership: what the targets capture outlives it.
class WebhookReceiver {
 public:
  explicit WebhookReceiver(std::vector<WebhookTarget> targets) : targets_(std::move(targets)) {}

  /// Wakes every target whose secret is proved, and which the request is about. `name`: only this one, whatever
  /// repository the body names.
  WebhookOutcome receive(const WebhookRequest& request, std::string_view name = {});

  bool empty() const noexcept { return targets_.empty(); }
  WebhookCounters counters() const noexcept { return counters_; }

 private:
  WebhookOutcome judge(const WebhookRequest& request, std::string_view name) const;
  std::vector<WebhookTarget> targets_;
  WebhookCounters counters_;
};

}  // namespace opi::git
