// Sealing and opening of values that fit into memory; the header's keys and the payload stand in their own files.
#include "secrets/age.hpp"

#include "secrets/age_file_key.hpp"
#include "secrets/age_header.hpp"
#include "secrets/age_payload.hpp"

namespace opi::secrets {
namespace {

Result<std::string> seal(Result<std::string> header, const AgeFileKey& file_key, std::string_view plaintext) {
  if (header) seal_age_payload(file_key.view(), plaintext, *header);
  return header;
}

Result<SecretString> open(std::string_view file, const AgeOpeners& openers) {
  std::string binary;
  if (is_age_armor(file)) {
    auto decoded = age_dearmor(file);
    if (!decoded) return failure(std::move(decoded.error()));
    binary = std::move(*decoded);
    file = binary;
  }
  const auto header = parse_age_header(file);
  if (!header) return failure(header.error());
  const auto file_key = open_age_header(*header, openers);
  if (!file_key) return failure(file_key.error());
  return open_age_payload(file_key->reveal(), header->payload);
}

}  // namespace

Result<std::string> age_encrypt(std::string_view plaintext, std::span<const AgeRecipient> recipients) {
  AgeFileKey file_key;
  return seal(make_age_header(recipients, file_key), file_key, plaintext);
}

Result<std::string> age_encrypt_with_passphrase(std::string_view plaintext, const SecretString& passphrase,
                                                unsigned log_n) {
  AgeFileKey file_key;
  return seal(make_age_header(passphrase, log_n, file_key), file_key, plaintext);
}

Result<SecretString> age_decrypt(std::string_view file, std::span<const AgeIdentity> identities) {
  return open(file, {.identities = identities});
}

Result<SecretString> age_decrypt_with_passphrase(std::string_view file, const SecretString& passphrase,
                                                 unsigned log_n_max) {
  return open(file, {.passphrase = [&passphrase] { return Result<SecretString>(passphrase.copy()); },
                     .scrypt_log_n_max = log_n_max});
}

}  // namespace opi::secrets
