#pragma once
/// @file
/// What is mirrored, where to, how to get in, and whom to believe.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/secret_string.hpp"

namespace opi::git {

/// User and password (or token) for http and https.
struct HttpCredentials {
  std::string username;
  /// Asked before each command, so that a rotated secret is picked up; must not block. Its failure fails the command.
  std::function<Result<SecretString>()> password;
};

/// Key and known hosts for ssh; host keys are always checked.
struct SshCredentials {
  std::string key_file;
  std::string known_hosts_file;
};

/// Which commits must be signed.
enum class VerifyMode {
  none,   ///< nothing is checked
  head,   ///< the head of a branch
  every,  ///< every commit between the head that was accepted last and the new one
};

/// Whose signatures count. Both files may be given: a signature counts when the one of its kind knows the signer.
struct Verification {
  VerifyMode mode = VerifyMode::none;
  std::string allowed_signers_file = {};  ///< for SSH signatures, in the format of ssh-keygen(1), ALLOWED SIGNERS
  std::string openpgp_keyring_file = {};  ///< for OpenPGP signatures: public keys, as gpgv(1) takes them
  std::size_t commits_max = 10'000;       ///< `every`: more commits at once are refused
};

/// Bounds on what a repository may make us hold.
struct MirrorLimits {
  std::size_t file_bytes_max = 1U << 20U;   ///< a larger file is rejected by itself, the others go on
  std::size_t files_max = 10'000;           ///< more files that match: the snapshot fails as exhausted
  std::size_t tree_bytes_max = 64U << 20U;  ///< of all directories that are looked into, together
};

/// What is mirrored, where to, and how.
struct MirrorSettings {
  std::string name = "projects";  ///< for logs and messages
  /// https://, http://, ssh://, user@host:path, git://, file:// or an absolute path. A password in it is refused.
  std::string url;
  std::vector<std::string> branches = {"main"};  ///< each once
  std::filesystem::path directory;  ///< ours alone: the mirror, a HOME, a git configuration; made when missing (0700)
  std::vector<std::string> patterns = {"projects/*.yaml", "projects/*.yml"};
  std::optional<HttpCredentials> http = {};
  std::optional<SshCredentials> ssh = {};
  std::string ca_file = {};  ///< for https; empty: the system's
  std::string proxy = {};    ///< for http and https; empty: none. A password in it is refused.
  Verification verification = {};
  MirrorLimits limits = {};
  std::chrono::seconds low_speed_time{20};    ///< http: a transfer slower than 1 kB/s for so long ends
  std::uint64_t pack_after = 64;              ///< fetches, after which what is unreachable is pruned
  std::chrono::milliseconds kill_grace{300};  ///< between SIGTERM and SIGKILL to the child's group
};

}  // namespace opi::git
