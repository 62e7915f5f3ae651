#pragma once
/// @file
/// From Settings to the plain settings that each room takes; only app and cli see both.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "app/settings.hpp"
#include "git/mirror_settings.hpp"
#include "http/server.hpp"
#include "pg/settings.hpp"

namespace opi::app {

/// The pool `name` of `settings.databases` (a broken invariant when there is none). Its password provider reads a
/// password file anew at each dial, owns copies of what it needs and is safe from any thread.
pg::PoolConfig pool_config(const Settings& settings, std::string_view name);

/// All of them, `main` first, the rest by name.
std::vector<pg::PoolConfig> pool_configs(const Settings& settings);

/// Where the API listens, and its limits.
http::ListenAddress http_address(const Settings& settings);
http::ServerLimits http_limits(const Settings& settings);
/// Where the probes listen.
http::ListenAddress probe_address(const Settings& settings);

/// The platform key's text (an age identity), read now. Blocking. Errors: as SecretSetting::read, naming the field.
Result<SecretString> platform_key(const Settings& settings);

/// What `projects.repository` is called beside the names of `projects.repositories`.
inline constexpr std::string_view default_repository = "projects";

/// One repository of project files. Borrows the settings.
struct Repository {
  std::string name;
  const RepositorySettings* settings = nullptr;
};

/// All that are configured, the default one first, the rest by name.
std::vector<Repository> repositories_of(const Settings& settings);

/// Where the mirror of a repository stands.
std::string mirror_directory(const Settings& settings, std::string_view name);

/// A mirror of it in `directory`, without what logs in over https: that may be sealed, and is Services' business.
git::MirrorSettings mirror_settings(const Repository& repository, std::filesystem::path directory);

/// How the project manager calls a file of a repository: by its path in the first branch of the default one, else
/// "name:path", in a further branch "name@branch:path".
std::string name_of_file(const Repository& repository, std::string_view branch, std::string_view path);
/// The key of a followed branch in the file ledger: the URL, for all but the first branch of the default repository
/// with what `file_name` puts in front.
std::string ledger_key(const Repository& repository, std::string_view branch);

}  // namespace opi::app
