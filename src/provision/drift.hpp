#pragma once
/// @file
/// Differences that somebody made: what may differ, what is done about it, and since when it has been seen.

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace opi::provision {

/// What of a deployment somebody may have changed. What is missing altogether (a role, a database, a login) is made
/// again, whatever the policies.
enum class DriftField {
  role_attributes,  ///< LOGIN, CREATEDB, SUPERUSER … of our roles
  role_comment,     ///< the stamp
  database_owner,
  database_privileges,  ///< PUBLIC's, and who may CONNECT
  connection_limit,
  closed_database,    ///< ALLOW_CONNECTIONS false
  schemas,            ///< missing ones, their owners
  schema_privileges,  ///< PUBLIC's on public, the reader's, default privileges
  extensions,
  logins,           ///< disabled, expired, no longer a member of the owner
  login_settings,   ///< role and search_path
  passwords,        ///< another than the published one
  foreign_members,  ///< roles of others that were made members of ours
};
inline constexpr std::size_t drift_field_count = 13;
/// "role_attributes" … as the settings name them.
std::string_view to_string(DriftField field) noexcept;
/// One sentence for the manual.
std::string_view about(DriftField field) noexcept;

enum class DriftPolicy {
  fix,    ///< put right in the next pass
  warn,   ///< shown with since when, and left
  ignore  ///< neither shown nor touched
};
std::string_view to_string(DriftPolicy policy) noexcept;

/// One policy for each field. A plain value. By default everything is fixed but what belongs to the tenant or to
/// somebody else: passwords, foreign members, and a database that somebody closed.
struct DriftPolicies {
  std::array<DriftPolicy, drift_field_count> of{};

  DriftPolicies() noexcept;
  DriftPolicy& operator[](DriftField field) noexcept { return of[static_cast<std::size_t>(field)]; }
  DriftPolicy operator[](DriftField field) const noexcept { return of[static_cast<std::size_t>(field)]; }
};

/// One difference, with what is done about it. A plain value.
struct Drift {
  DriftField field = DriftField::role_attributes;
  DriftPolicy policy = DriftPolicy::fix;
  std::string name;                    ///< of the object: "shop_prod"
  std::string detail;                  ///< "PUBLIC may CONNECT"
  std::string key;                     ///< the same for the same difference, seen again
  bool inside = false;                 ///< of the inside of the database, which is not looked at in every pass
  bool ours = true;                    ///< it is about what we made; false: something of somebody else's beside it
  std::optional<WallTime> since = {};  ///< when it was first seen, if that is known
};

/// "PUBLIC may CONNECT, since 2026-11-24 14:02Z (policy: fix)".
std::string drift_text(const Drift& drift);

}  // namespace opi::provision
