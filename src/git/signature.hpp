#pragma once
/// @file
/// Checks the signature of one commit with the programs that are made for it: ssh-keygen, gpgv.

#include <filesystem>
#include <string>
#include <string_view>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "git/git_objects.hpp"

namespace opi::git {

/// Who signed: for SSH the principal of the allowed-signers file, for OpenPGP the fingerprint and the user id.
/// As git does, SSH keys are judged at the time that the commit claims. `directory` is ours: the signature is put there
/// while it is checked, and serves as HOME. Errors: denied (not signed, a wrong signature, an unknown, expired or
/// revoked key: with the reason); everything else means that it could not be found out (not_found: no such program or
/// file; timed_out; cancelled).
Task<Result<std::string>> check_signature(SignedCommit commit, Verification verification,
                                          std::filesystem::path directory, SteadyTime deadline);

/// What gpgv says with --status-fd: the signer when there is exactly one signature, it is good, and its key is neither
/// expired nor revoked. Errors: denied. Format: GnuPG's doc/DETAILS. Pure.
Result<std::string> parse_gpgv_status(std::string_view output);

}  // namespace opi::git
