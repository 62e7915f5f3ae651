#pragma once
/// @file
/// Walks the documents of a SOPS file in their order, encrypts or decrypts what the rules choose, and computes the MAC.

#include <string>

#include "base/result.hpp"
#include "secrets/sops_cipher.hpp"
#include "secrets/sops_selector.hpp"
#include "secrets/sops_tree.hpp"

namespace opi::secrets::sops {

struct WalkRules {
  const Chooser* chooser = nullptr;  ///< outlives the walk
  bool mac_only_encrypted = false;
};

/// Replaces the chosen values by their encrypted texts. Returns the MAC (128 hex digits) over what they were.
/// Errors: invalid with code `encrypting`.
Result<std::string> encrypt_values(Branches& branches, const WalkRules& rules, ValueCipher& cipher);

/// Replaces encrypted texts by the values in them. Returns the MAC over those. A comment that does not decrypt was not
/// encrypted and stays. Errors: invalid with code `value`, with the path and never the value.
Result<std::string> decrypt_values(Branches& branches, const WalkRules& rules, ValueCipher& cipher);

}  // namespace opi::secrets::sops
