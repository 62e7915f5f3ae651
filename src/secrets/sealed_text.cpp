#include "secrets/sealed_text.hpp"

#include <array>
#include <utility>

#include "secrets/base64.hpp"

namespace opi::secrets {
namespace {

constexpr std::string_view blanks = " \t\r\n\v\f";
constexpr std::array<std::pair<std::string_view, SealedForm>, 3> prefixes{
    {{"base64+age:", SealedForm::base64}, {"plain:", SealedForm::plain}, {"age:", SealedForm::age}}};

std::string_view trim(std::string_view text) noexcept {
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/// Settings that cannot hold line breaks write them as "\n".
std::string with_line_feeds(std::string_view text) {
  std::string lines;
  lines.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escaped = text.substr(i).starts_with("\\n");
    lines.push_back(escaped ? '\n' : text[i]);
    i += escaped ? 1 : 0;
  }
  return lines;
}

}  // namespace

SealedText read_sealed_text(std::string_view text) noexcept {
  text = trim(text);
  for (const auto& [prefix, form] : prefixes) {
    if (!text.starts_with(prefix)) continue;
    text.remove_prefix(prefix.size());
    return {.form = form, .named = true, .body = form == SealedForm::plain ? text : trim(text)};
  }
  return {.form = is_age_armor(text) ? SealedForm::age : SealedForm::plain, .body = text};
}

Result<SecretString> open_sealed_text(std::string_view text, std::span<const AgeIdentity> identities) {
  const SealedText sealed = read_sealed_text(text);
  switch (sealed.form) {
    case SealedForm::plain: return SecretString(sealed.body);
    case SealedForm::age: {
      const std::string armored = with_line_feeds(sealed.body);
      if (!is_age_armor(armored)) return failure(ErrorKind::invalid, "\"age:\" without an armored age file behind it");
      return age_decrypt(armored, identities);
    }
    case SealedForm::base64: break;
  }
  const auto armored = base64_decode(sealed.body);
  if (!armored) return failure(Error(armored.error()).while_doing("\"base64+age:\" without base64 behind it"));
  if (!is_age_armor(*armored)) {
    return failure(ErrorKind::invalid, "\"base64+age:\" without an armored age file in it");
  }
  return age_decrypt(with_line_feeds(*armored), identities);
}

Result<std::string> write_sealed_text(std::string_view plaintext, SealedForm form,
                                      std::span<const AgeRecipient> recipients) {
  if (form == SealedForm::plain) return "plain:" + std::string(plaintext);
  const auto sealed = age_encrypt(plaintext, recipients);
  if (!sealed) return failure(sealed.error());
  const std::string armored = age_armor(*sealed);
  return form == SealedForm::age ? "age:" + armored : "base64+age:" + base64_encode(armored);
}

}  // namespace opi::secrets
