#pragma once
/// @file
/// Which user a private PostgreSQL runs as, and where that user can keep its files.

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace opi::app {

/// An unprivileged user for servers that refuse root.
struct ServerAccount {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  bool other = false;  ///< not the user we are: children are started through setpriv
};

/// Ourselves, or, when we are root, the user `postgres` that Debian's package makes. Errors: not_found.
Result<ServerAccount> server_account();

/// True when `account` may pass through every folder from the root down to `folder`, which must exist.
bool reachable_for(const ServerAccount& account, const std::filesystem::path& folder);

/// A folder of `account` for `wanted`: `wanted` itself when the account can reach its parent; otherwise one under
/// `system_state` that is keyed by the absolute path of `wanted`, with a symbolic link at `wanted`. Created with mode
/// 0700 and owned by the account when missing. Errors: denied, io (as `internal`) with the path.
Result<std::filesystem::path> place_for(const ServerAccount& account, const std::filesystem::path& wanted,
                                        const std::filesystem::path& system_state);

/// argv of `command` run as `account` through setpriv: other user when it is one, no new privileges, and SIGINT when
/// the thread that starts it ends (PostgreSQL's fast shutdown).
std::vector<std::string> as_account(const ServerAccount& account, std::vector<std::string> command);

}  // namespace opi::app
