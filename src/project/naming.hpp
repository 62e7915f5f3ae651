#pragma once
/// @file
/// The names that are derived from a project and a deployment.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/place.hpp"
#include "base/result.hpp"

namespace opi::project {

/// Every PostgreSQL name of one deployment; each fits 63 bytes.
struct DatabaseNames {
  std::string base;     ///< owner role, database and default schema: {project}_{deployment}, dashes to underscores, cut
                        ///< and hashed when too long
  std::string login_a;  ///< {base}__a
  std::string login_b;  ///< {base}__b
  std::string read_only;  ///< {base}_ro
};

/// Pure. The longest derived name ({base}__a, {base}_ro, {base}_v999) fits 63 bytes: a longer base is cut and ends in
/// '_' and 8 hex digits of a SHA-256 of the uncut name.
DatabaseNames database_names(std::string_view project, std::string_view deployment);

/// {base}_{postfix}; invalid when that is over 63 bytes.
Result<std::string> extra_schema_name(std::string_view base, std::string_view postfix);

/// {prefix}{namespace}; invalid when over 63 bytes or not a DNS label.
Result<std::string> namespace_name(std::string_view prefix, std::string_view name);

/// True when `name` is a derived name of `base` (its logins, read-only role, a generation); used to refuse declarations
/// that would collide.
bool is_derived_name(std::string_view base, std::string_view name);

/// One deployment's claim to its names.
struct NameClaim {
  std::string server = {};  ///< the named pool; names on different servers never collide
  std::string base;         ///< DatabaseNames::base
  std::string project;
  std::string deployment;
  Place place = {};
};

/// One `conflict` per claim that may not stand: an equal base claimed before it ("team-a/prod" and "team/a-prod"), or a
/// base that is a derived name of another's ("shop/api-v1" beside "shop/api", "shop/x-ro" beside "shop/x"). In the
/// order of the claims, equal ones first. For one file and across all files of an estate.
std::vector<Error> colliding_names(std::span<const NameClaim> claims);

}  // namespace opi::project
