#pragma once
/// @file
/// Shamir's secret sharing as SOPS writes it: each byte a polynomial over GF(2^8) (x^8+x^4+x^3+x+1). Opened only.

#include <span>

#include "base/result.hpp"
#include "base/secret_string.hpp"

namespace opi::secrets {

/// The secret whose shares these are; each is the bytes of y followed by one byte of x. A wrong or missing share gives
/// a wrong secret, which nothing here can tell. Errors: invalid (fewer than two, lengths that differ, one x twice or
/// 0).
Result<SecretString> combine_shares(std::span<const SecretString> shares);

}  // namespace opi::secrets
