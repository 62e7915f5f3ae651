#pragma once
/// @file
/// Credentials are written down before they are used, so that whoever dies between two steps leaves the same bytes to
/// continue with.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/secret_string.hpp"
#include "pg/connection.hpp"
#include "secrets/platform_key.hpp"

namespace opi::store {

/// Which of a deployment's logins.
enum class LoginSlot { a, b, read_only };
std::string_view to_string(LoginSlot slot) noexcept;  ///< "a", "b", "ro"

/// How far a credential has come. Only forward; steps may be skipped.
enum class CredentialState {
  intent,     ///< durable here, nothing done with it
  applied,    ///< its verifier is on the server
  verified,   ///< a login with it succeeded
  published,  ///< the Secret holds it
  done,       ///< the flow is over; it is the login's password
  retired,    ///< no longer valid: the login was disabled, or another generation replaced it
};
std::string_view to_string(CredentialState state) noexcept;

/// Which login a credential is for. `stamp` and `login` are sealed in with the password, so that an entry moved to
/// another login does not open.
struct LoginRef {
  std::int64_t deployment_id = 0;
  std::string stamp;  ///< DeploymentRecord::stamp
  LoginSlot slot = LoginSlot::a;
  std::string login;  ///< role name, "shop_prod__a"
};

/// One generation of one login's password. Copyable: the password is inside `sealed` only.
struct Credential {
  std::int64_t id = 0;
  LoginRef login;
  int generation = 0;  ///< from 1, per login
  CredentialState state = CredentialState::intent;
  std::string sealed;     ///< age file (binary); open_password opens it
  std::string sealed_to;  ///< the public key it is sealed to
  std::string
      verifier;  ///< SCRAM-SHA-256 verifier for ALTER ROLE … PASSWORD; the same bytes at each replay. Not for logs.
  WallTime created_at{};
  std::optional<WallTime> published_at = {};
};

/// What the inventory shows of a login's newest credential.
struct CredentialSummary {
  std::int64_t id = 0;
  LoginSlot slot = LoginSlot::a;
  std::string login;
  int generation = 0;
  CredentialState state = CredentialState::intent;
  std::string verifier;  ///< for drift: compare with pg_authid.rolpassword where that may be read
  WallTime created_at{};
  std::optional<WallTime> published_at = {};
  std::optional<WallTime> overlap_until = {};  ///< set when another login was published in its place
  std::optional<WallTime> grace_until = {};    ///< until then its sessions may go on
  bool overlap_over = false;                   ///< by the control database's clock, when it was read
  bool grace_over = false;
};

/// The open intent of `login` (any state before `done`) with its bytes unchanged; without one, a new generation with a
/// fresh password, durable (flushed to disk by the server) when this returns. Several callers at once get the same
/// entry. `adopted`: take over this password instead of generating one (ASCII only); with an open intent it is ignored.
/// Ownership: `key` outlives the call. Errors: not_found (no such deployment), and those of PlatformKey and Connection.
Task<Result<Credential>> begin_intent(pg::Connection* connection, const secrets::PlatformKey* key, LoginRef login,
                                      std::optional<SecretString> adopted = {});

/// Records that `credential` has come as far as `state`; durable when this returns, but for `applied` and `verified`,
/// which a server that crashes at once may forget. Being further is no error. `done` of one generation retires the
/// older ones of the same login; what is retired loses its password and verifier. Errors: not_found, conflict (it is
/// retired).
Task<Result<>> advance(pg::Connection* connection, std::int64_t credential_id, CredentialState state);
/// Several in one statement; all or none.
Task<Result<>> advance(pg::Connection* connection, std::vector<std::int64_t> credential_ids, CredentialState state);

/// The newest generation of `login`, whatever its state; nothing when there is none.
Task<Result<std::optional<Credential>>> current_credential(pg::Connection* connection, std::int64_t deployment_id,
                                                           LoginSlot slot);
/// What the application uses: the last one published of slots a and b (the Secret holds it); nothing when none was.
Task<Result<std::optional<Credential>>> published_credential(pg::Connection* connection, std::int64_t deployment_id);
/// The newest generation of each login of the deployment that is not retired, by slot: what the inventory shows of it.
Task<Result<std::vector<CredentialSummary>>> login_summaries(pg::Connection* connection, std::int64_t deployment_id);
/// One entry with its sealed password; not_found when there is none.
Task<Result<Credential>> find_credential(pg::Connection* connection, std::int64_t credential_id);
/// Every entry before `done`, oldest first: what a pass has to bring to its end.
Task<Result<std::vector<Credential>>> open_intents(pg::Connection* connection);

/// The password. Pure, no I/O. Errors: denied (the key does not open it), invalid (damaged, or an entry of another
/// login).
Result<SecretString> open_password(const secrets::PlatformKey& key, const Credential& credential);

}  // namespace opi::store
