#pragma once
/// @file
/// Runs psql as an application of ours, its password in memory only.

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/secret_string.hpp"

namespace opi::cli {

/// Whom to connect as, and where.
struct PsqlTarget {
  std::string host;
  std::uint16_t port = 5432;
  std::string database;
  std::string user;
  SecretString password;
};

/// One line of a password file (PostgreSQL's documentation, "The Password File"): ':' and '\' in fields are escaped.
SecretString passfile_line(const PsqlTarget& target);

/// Runs `psql` with `arguments` on our terminal and gives its exit code. The password is handed over as a password file
/// that exists in memory only, never in argv or the environment. Blocks until psql ends; SIGINT and SIGQUIT go to psql
/// alone meanwhile. Errors: not_found (no psql), internal.
Result<int> run_psql(const PsqlTarget& target, const std::vector<std::string>& arguments);

}  // namespace opi::cli
