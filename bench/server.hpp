#pragma once
/// @file
/// The server that is measured.

#include "pg/settings.hpp"

namespace opi::bench {

/// What libpq itself takes from the environment (PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSWORD), in our settings.
pg::ServerSettings server_from_environment();

}  // namespace opi::bench
