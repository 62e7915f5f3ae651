#pragma once
/// @file
/// What the SOPS targets check of any text in their format.

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "secrets/age.hpp"
#include "secrets/sops.hpp"

namespace opi::fuzz {

inline void demand(bool condition) {
  if (!condition) std::abort();
}

/// Reading: an encrypted file is refused with a reason. Writing: what can be encrypted decrypts to a text that encrypts
/// and decrypts to itself.
inline void check_sops(std::string_view text, secrets::sops::Format format) {
  namespace sops = secrets::sops;
  static const auto identity =
      secrets::AgeIdentity::parse("AGE-SECRET-KEY-15SNRF5Z6NYNWJPRD09GJC0F55SMFFT3UQF5EQNMSN5E3MVFP6WCQP08H7G").value();
  const auto keys = std::span(&identity, 1);
  const auto recipients = std::span(&identity.recipient(), 1);
  const auto opened = sops::decrypt(text, format, {.identities = keys});
  if (!opened) demand(!opened.error().message.empty());
  (void)sops::keys_of(text, format);

  const auto file = sops::encrypt(text, format, {.recipients = recipients});
  if (!file) return demand(!file.error().message.empty());
  const auto plain = sops::decrypt(*file, format, {.identities = keys});
  demand(plain.has_value());
  const auto again = sops::encrypt(plain->reveal(), format, {.recipients = recipients});
  demand(again.has_value());
  const auto settled = sops::decrypt(*again, format, {.identities = keys});
  demand(settled && *settled == *plain);
}

}  // namespace opi::fuzz
