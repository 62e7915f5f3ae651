#pragma once
/// @file
/// The data key of a SOPS file: sealed to age keys, opened with one of them, or with enough groups of them.

#include <span>

#include "base/result.hpp"
#include "base/secret_string.hpp"
#include "secrets/age.hpp"
#include "secrets/sops_metadata.hpp"

namespace opi::secrets::sops {

inline constexpr std::size_t data_key_bytes = 32;

/// One entry for each recipient, duplicates left out. Errors: invalid (no recipient).
Result<std::vector<AgeEntry>> seal_data_key(const SecretString& data_key, std::span<const AgeRecipient> recipients);

/// Errors: denied with code data_key, naming what is missing; invalid (a sealed key that is damaged).
Result<SecretString> open_data_key(const Metadata& metadata, std::span<const AgeIdentity> identities);

}  // namespace opi::secrets::sops
