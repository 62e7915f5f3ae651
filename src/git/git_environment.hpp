#pragma once
/// @file
/// What a git child is told besides its arguments: a checked URL, an environment, a configuration file of our own.

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "git/mirror_settings.hpp"

namespace opi::git {

/// A URL that git may be given and the one protocol it may speak.
struct Remote {
  std::string url;
  std::string scheme;  ///< "https", "http", "ssh", "git" or "file"
};

/// Errors: invalid (no known transport, a password in the URL, something git could take for an option).
Result<Remote> parse_remote(const std::string& url);
/// The URL of an HTTP proxy; "" is none. Errors: invalid (a password in it, or something git could misread).
Result<> check_proxy(const std::string& proxy);
/// A branch name that is safe in a refspec. Errors: invalid.
Result<> check_branch(const std::string& branch);

/// The text of our git configuration (no secret in it): no hooks, no automatic maintenance, low-speed limits, safe
/// directories (the mirror, and the source when it is a local path), known certificates, proxy.
std::string configuration_text(const MirrorSettings& settings, const Remote& remote,
                               const std::filesystem::path& repository);
/// PATH as we were given it, as an environment entry.
std::string path_entry();
/// The environment of a child, without what logs in.
std::vector<std::string> environment_of(const MirrorSettings& settings, const Remote& remote);
/// What logs in over http, as environment entries; empty for other transports. Errors: what the password provider says.
Result<std::vector<SecretString>> credentials_of(const MirrorSettings& settings, const Remote& remote);

/// An Error from git's exit code and standard error: the kind from what git is known to say, the text cut to one clean
/// line. `network` decides what an unknown failure is: unavailable or internal.
Error classify(const std::string& what, int exit_code, const std::string& error_output, bool network);

/// Does git complain of our mirror rather than of the remote?
bool looks_damaged(const Error& error) noexcept;

/// Printable, at most `most` bytes, line breaks as spaces.
std::string clean_line(std::string_view text, std::size_t most);

}  // namespace opi::git
