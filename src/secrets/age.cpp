// Sealing and opening: the file key, its X25519 stanzas, the header's MAC; grammar and payload stand in their own
// files.
#include "secrets/age.hpp"

#include "secrets/age_header.hpp"
#include "secrets/age_payload.hpp"
#include "secrets/base64.hpp"
#include "secrets/primitives.hpp"

namespace opi::secrets {
namespace {

constexpr std::string_view x25519_type = "X25519";
constexpr std::string_view scrypt_type = "scrypt";
constexpr std::string_view x25519_info = "age-encryption.org/v1/X25519";
constexpr std::size_t point_bytes = 32;
constexpr std::size_t file_key_bytes = 16;
constexpr std::size_t wrapped_bytes = file_key_bytes + ChaCha20Poly1305::tag_size;

using FileKey = SecretBytes<file_key_bytes>;

std::string header_mac(const Hkdf& hkdf, std::string_view file_key, std::string_view authenticated) {
  Key key;
  hkdf.derive(file_key, {}, "header", key);
  const auto mac = hmac_sha256(key.view(), authenticated);
  return {reinterpret_cast<const char*>(mac.data()), mac.size()};
}

/// The key that wraps the file key. Each one is used once, so its nonce is zero.
void wrap_key(const Hkdf& hkdf, const Key& shared, std::string_view share, std::string_view recipient, Key& into) {
  const std::string salt = std::string(share) + std::string(recipient);
  hkdf.derive(shared.view(), salt, x25519_info, into);
}

Result<AgeStanza> wrap(const Hkdf& hkdf, const FileKey& file_key, std::string_view recipient) {
  Key ephemeral;
  random_bytes({ephemeral.data(), Key::size()});
  const auto point = x25519_public(ephemeral.view());
  const std::string_view share(reinterpret_cast<const char*>(point.data()), point.size());
  Key shared;
  if (!x25519(ephemeral.view(), recipient, shared)) {
    return failure(ErrorKind::invalid, "age: a recipient that is a point of low order");
  }
  Key key;
  wrap_key(hkdf, shared, share, recipient, key);
  AgeStanza stanza{.type = std::string(x25519_type), .arguments = {base64_encode(share, Padding::unpadded)}};
  ChaCha20Poly1305(key).seal({}, file_key.view(), stanza.body);
  return stanza;
}

struct X25519Stanza {
  std::string share;
  std::string_view body;
};

/// The X25519 stanzas, each of the right shape; others are left alone, but a passphrase stands alone.
Result<std::vector<X25519Stanza>> x25519_stanzas(const AgeHeader& header) {
  std::vector<X25519Stanza> found;
  for (const AgeStanza& stanza : header.stanzas) {
    if (stanza.type == scrypt_type && header.stanzas.size() > 1) {
      return failure(ErrorKind::invalid, "age: a passphrase beside other recipients");
    }
    if (stanza.type != x25519_type) continue;
    if (stanza.arguments.size() != 1) return failure(ErrorKind::invalid, "age: an X25519 stanza without one argument");
    auto share = base64_decode(stanza.arguments.front(), Padding::unpadded);
    if (!share) return failure(std::move(share.error()).while_doing("age: a malformed X25519 share"));
    if (share->size() != point_bytes) return failure(ErrorKind::invalid, "age: an X25519 share that is not 32 bytes");
    if (stanza.body.size() != wrapped_bytes) {
      return failure(ErrorKind::invalid, "age: an X25519 body that is not 32 bytes");
    }
    found.push_back({.share = std::move(*share), .body = stanza.body});
  }
  return found;
}

/// True when `identity` opens `stanza`; the file key is then in `into`.
Result<bool> unwrap(const Hkdf& hkdf, const X25519Stanza& stanza, std::string_view scalar, std::string_view recipient,
                    std::string& into) {
  Key shared;
  if (!x25519(scalar, stanza.share, shared)) {
    return failure(ErrorKind::invalid, "age: an X25519 share that is a point of low order");
  }
  Key key;
  wrap_key(hkdf, shared, stanza.share, recipient, key);
  return ChaCha20Poly1305(key).open({}, stanza.body, into);
}

}  // namespace

Result<std::string> age_encrypt(std::string_view plaintext, std::span<const AgeRecipient> recipients) {
  if (recipients.empty()) return failure(ErrorKind::invalid, "age: no recipient to seal to");
  const Hkdf hkdf;
  FileKey file_key;
  random_bytes({file_key.data(), FileKey::size()});
  std::vector<AgeStanza> stanzas;
  stanzas.reserve(recipients.size());
  for (const AgeRecipient& recipient : recipients) {
    auto stanza = wrap(hkdf, file_key, recipient.point());
    if (!stanza) return failure(std::move(stanza.error()));
    stanzas.push_back(std::move(*stanza));
  }
  std::string file = write_age_header(stanzas);
  const std::string mac = header_mac(hkdf, file_key.view(), file);
  file.append(" ").append(base64_encode(mac, Padding::unpadded)).append("\n");
  seal_age_payload(file_key.view(), plaintext, file);
  return file;
}

Result<SecretString> age_decrypt(std::string_view file, std::span<const AgeIdentity> identities) {
  std::string binary;
  if (is_age_armor(file)) {
    auto decoded = age_dearmor(file);
    if (!decoded) return failure(std::move(decoded.error()));
    binary = std::move(*decoded);
    file = binary;
  }
  const auto header = parse_age_header(file);
  if (!header) return failure(header.error());
  const auto stanzas = x25519_stanzas(*header);
  if (!stanzas) return failure(stanzas.error());
  const Hkdf hkdf;
  for (const X25519Stanza& stanza : *stanzas) {
    for (const AgeIdentity& identity : identities) {
      std::string opened;
      opened.reserve(wrapped_bytes);
      const auto mine = unwrap(hkdf, stanza, identity.scalar_.reveal(), identity.recipient_.point(), opened);
      if (!mine) return failure(mine.error());
      if (!*mine) continue;
      const SecretString file_key = SecretString::take(std::move(opened));
      if (!equal_in_constant_time(header_mac(hkdf, file_key.reveal(), header->authenticated), header->mac)) {
        return failure(ErrorKind::invalid, "age: the header's MAC does not match");
      }
      return open_age_payload(file_key.reveal(), header->payload);
    }
  }
  return failure(ErrorKind::denied, "age: none of the keys at hand opens this file");
}

}  // namespace opi::secrets
