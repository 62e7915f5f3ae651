#pragma once
/// @file
/// Databases that were there before us: how far each was taken over, and the password that it brought.

#include <cstdint>
#include <string>
#include <string_view>

#include "aio/task.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"
#include "store/inventory.hpp"

namespace opi::store {

/// Records how far a deployment was adopted; on disk when this returns. Only further: none, additive, full.
/// Errors: not_found, conflict (it is further already).
Task<Result<>> set_adoption(pg::Connection* connection, std::int64_t deployment_id, Adoption adoption);

/// The server's own form of an adopted password takes the place of the one that we made, so that what is stored there
/// is what is compared with, and what would be set again. Only while the credential is an intent. Errors: not_found.
Task<Result<>> keep_verifier(pg::Connection* connection, std::int64_t credential_id, std::string verifier);

}  // namespace opi::store
