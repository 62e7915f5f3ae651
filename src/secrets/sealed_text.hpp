#pragma once
/// @file
/// Values in project files and settings that are sealed with age, or say that they are not.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/secret_string.hpp"
#include "secrets/age.hpp"

namespace opi::secrets {

/// How a value is written. White space around it does not count.
enum class SealedForm {
  plain,   ///< "plain:…", or no prefix and no armor: the text itself
  age,     ///< "age:" and an armored block, or an armored block alone
  base64,  ///< "base64+age:" and the base64 of an armored block, on one line
};

struct SealedText {
  SealedForm form = SealedForm::plain;
  bool named = false;     ///< a prefix says so
  std::string_view body;  ///< without prefix and outer white space; a view into the text
};

/// By its prefix or its first line; never fails.
SealedText read_sealed_text(std::string_view text) noexcept;

/// The secret in `text`. A "\n" written as two characters inside an armored block is a line break. Errors: invalid (not
/// what its prefix says, damaged), denied (none of the identities opens it).
Result<SecretString> open_sealed_text(std::string_view text, std::span<const AgeIdentity> identities);

/// "age:" and an armored block, or "base64+age:" and one line. Errors: invalid (no recipient).
Result<std::string> write_sealed_text(std::string_view plaintext, SealedForm form,
                                      std::span<const AgeRecipient> recipients);

}  // namespace opi::secrets
