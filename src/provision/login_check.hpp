#pragma once
/// @file
/// Proves that a login works by logging in with it, and tells the reasons apart when it does not.

#include <string>
#include <string_view>

#include "aio/blocking_pool.hpp"
#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/secret_string.hpp"
#include "pg/settings.hpp"

namespace opi::provision {

/// How a login ended. Only `wrong_password` says anything about the password.
enum class LoginVerdict {
  works,           ///< logged in
  wrong_password,  ///< 28P01; also what PostgreSQL says of an expired or unknown role: ask the catalog before believing
                   ///< it
  refused,         ///< 28000: no entry in pg_hba.conf, or the role may not log in
  full,            ///< 53300: no connection is free, or the limit of role or database is reached
  no_database,     ///< 3D000
  not_permitted,   ///< 42501: CONNECT is missing
  unreachable,     ///< no server answered in time
  other,           ///< anything else
};
std::string_view to_string(LoginVerdict verdict) noexcept;

/// What a failed login says. Pure.
LoginVerdict verdict_of(const Error& error) noexcept;

/// What was found.
struct LoginProof {
  LoginVerdict verdict = LoginVerdict::other;
  Error error = {};            ///< unless it works
  std::string current_user;    ///< after the server's settings for that login took effect
  std::string current_schema;  ///< empty: none of search_path exists
};

/// Logs in to `server` (its user, database and password are those of the tenant) as any client would, asks who it is,
/// and leaves. Bounded by `deadline`; no statement of the tenant's making runs with any right of ours. Never fails: the
/// verdict is the answer. Ownership: `blocking` outlives the call.
Task<LoginProof> prove_login(pg::ServerSettings server, aio::BlockingPool* blocking, SteadyTime deadline);

/// `admin`'s server, as `user` with `password` in `database`: nothing of the admin's session settings stays.
pg::ServerSettings tenant_settings(const pg::ServerSettings& admin, std::string user, const SecretString& password,
                                   std::string database);

}  // namespace opi::provision
