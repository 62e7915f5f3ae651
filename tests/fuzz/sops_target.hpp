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

/// Reading: an encrypted file is refused with a reason. Writing: what can be encrypted decrypts to a text that
/// settles.
inline void check_sops(std::string_view text, secrets::sops::Format format) {
  namespace sops = secrets::sops;
  static const auto identity =
      secrets::AgeIdentity::parse("AGE-SECRET-KEY-15SNRF5Z6NYNWJPRD09GJC0F55SMFFT3UQF5EQNMSN5E3MVFP6WCQP08H7G").value();
  const auto keys = std::span(&identity, 1);
  const auto recipients = std::span(&identity.recipient(), 1);
  const auto opened = sops::decrypt(text, format, {.identities = keys});
  if (!opened) demand(!opened.error().message.empty());
  (void)sops::keys_of(text, format);

  // The first round settles comments and quotes, the second what reads differently once written ("-0.0", "-0", "0").
  SecretString before(text);
  for (int round = 0; round < 3; ++round) {
    const auto file = sops::encrypt(before.reveal(), format, {.recipients = recipients});
    if (!file) {
      demand(round == 0 && !file.error().message.empty());
      return;
    }
    auto plain = sops::decrypt(*file, format, {.identities = keys});
    // INI has no escapes: a value may have no form that is read as what it is.
    if (!plain && plain.error().code == sops::error_codes::unwritable && format == sops::Format::ini) return;
    demand(plain.has_value());
    if (round == 2) demand(*plain == before);
    before = std::move(*plain);
  }
}

}  // namespace opi::fuzz
