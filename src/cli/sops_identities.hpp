#pragma once
/// @file
/// Where SOPS looks for age identities: the environment, a command, and the user's key file.

#include <span>
#include <string>
#include <vector>

#include "app/settings_loader.hpp"
#include "base/result.hpp"
#include "secrets/age.hpp"

namespace opi::cli {

/// What was found, and why something that was named gave nothing.
struct SopsIdentities {
  std::vector<secrets::AgeIdentity> identities = {};
  std::vector<std::string> problems = {};  ///< one line each, without secrets
};

/// Collects from all of SOPS_AGE_KEY (several keys, by line or blank), SOPS_AGE_KEY_FILE, SOPS_AGE_KEY_CMD (run once
/// for each of `recipients`, which it gets as SOPS_AGE_RECIPIENT) and $XDG_CONFIG_HOME/sops/age/keys.txt (else
/// ~/.config). SSH keys are not supported; a variable that names one is a problem.
SopsIdentities find_sops_identities(const app::Environment& environment, std::span<const std::string> recipients);

}  // namespace opi::cli
