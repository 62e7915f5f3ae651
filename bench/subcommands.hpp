#pragma once
/// @file
/// The subcommands of opi-bench: one function and one file each. `arguments` are those after the subcommand's name; the
/// exit code is 0 (measured; one JSON line on stdout), 1 (failed; a line on stderr says why) or 64 (usage: main prints
/// it).

#include <span>
#include <string_view>

namespace opi::bench {

using Arguments = std::span<const std::string_view>;

inline constexpr int exit_usage = 64;

/// bench/cluster.cpp
int cluster(Arguments arguments);
/// bench/git.cpp
int git(Arguments arguments);
/// bench/pool.cpp
int pool(Arguments arguments);
/// bench/provision.cpp
int provision(Arguments arguments);

/// bench/secrets.cpp
int secrets_and_files(Arguments arguments);

}  // namespace opi::bench
