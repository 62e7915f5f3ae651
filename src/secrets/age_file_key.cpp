#include "secrets/age_file_key.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "secrets/base64.hpp"

namespace opi::secrets {
namespace {

constexpr std::string_view x25519_type = "X25519";
constexpr std::string_view scrypt_type = "scrypt";
constexpr std::string_view hybrid_type = "mlkem768x25519";
constexpr std::string_view x25519_info = "age-encryption.org/v1/X25519";
constexpr std::string_view scrypt_label = "age-encryption.org/v1/scrypt";
constexpr std::size_t point_bytes = 32;
constexpr std::size_t scrypt_salt_bytes = 16;
constexpr std::size_t wrapped_bytes = AgeFileKey::size() + ChaCha20Poly1305::tag_size;
constexpr std::size_t recipients_max = 1'000;

std::unexpected<Error> refuse(std::string reason) {
  return failure(ErrorKind::invalid, "age: " + reason);
}

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

Result<AgeStanza> wrap(const Hkdf& hkdf, const AgeFileKey& file_key, std::string_view recipient) {
  Key ephemeral;
  random_bytes({ephemeral.data(), Key::size()});
  const auto point = x25519_public(ephemeral.view());
  const std::string_view share(reinterpret_cast<const char*>(point.data()), point.size());
  Key shared;
  if (!x25519(ephemeral.view(), recipient, shared)) return refuse("a recipient that is a point of low order");
  Key key;
  wrap_key(hkdf, shared, share, recipient, key);
  AgeStanza stanza{.type = std::string(x25519_type), .arguments = {base64_encode(share, Padding::unpadded)}};
  ChaCha20Poly1305(key).seal({}, file_key.view(), stanza.body);
  return stanza;
}

std::string finish_header(const Hkdf& hkdf, const std::vector<AgeStanza>& stanzas, const AgeFileKey& file_key) {
  std::string header = write_age_header(stanzas);
  const std::string mac = header_mac(hkdf, file_key.view(), header);
  header.append(" ").append(base64_encode(mac, Padding::unpadded)).append("\n");
  return header;
}

struct X25519Stanza {
  std::string share;
  std::string_view body;
};

struct ScryptStanza {
  std::string salt;
  unsigned log_n = 0;
  std::string_view body;
};

Result<X25519Stanza> read_x25519(const AgeStanza& stanza) {
  if (stanza.arguments.size() != 1) return refuse("an X25519 stanza without one argument");
  auto share = base64_decode(stanza.arguments.front(), Padding::unpadded);
  if (!share) return failure(std::move(share.error()).while_doing("age: a malformed X25519 share"));
  if (share->size() != point_bytes) return refuse("an X25519 share that is not 32 bytes");
  if (stanza.body.size() != wrapped_bytes) return refuse("an X25519 body that is not 32 bytes");
  return X25519Stanza{.share = std::move(*share), .body = stanza.body};
}

Result<ScryptStanza> read_scrypt(const AgeStanza& stanza, unsigned log_n_max) {
  if (stanza.arguments.size() != 2) return refuse("a scrypt stanza without two arguments");
  auto salt = base64_decode(stanza.arguments[0], Padding::unpadded);
  if (!salt) return failure(std::move(salt.error()).while_doing("age: a malformed scrypt salt"));
  if (salt->size() != scrypt_salt_bytes) return refuse("a scrypt salt that is not 16 bytes");
  const std::string_view digits = stanza.arguments[1];
  const bool decimal = std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
  if (digits.front() == '0' || !decimal) return refuse("a scrypt work factor that is no decimal number");
  if (stanza.body.size() != wrapped_bytes) return refuse("a scrypt body that is not 32 bytes");
  ScryptStanza read{.salt = std::move(*salt), .body = stanza.body};
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), read.log_n);
  if (problem != std::errc{} || read.log_n > log_n_max) {
    return refuse(fmt::format("a scrypt work factor of more than {}", log_n_max));
  }
  return read;
}

/// True when `identity` opens `stanza`; the file key is then in `into`.
Result<bool> unwrap(const Hkdf& hkdf, const X25519Stanza& stanza, const AgeIdentity& identity, std::string& into) {
  Key shared;
  if (!x25519(identity.scalar(), stanza.share, shared)) return refuse("an X25519 share that is a point of low order");
  Key key;
  wrap_key(hkdf, shared, stanza.share, identity.recipient().point(), key);
  return ChaCha20Poly1305(key).open({}, stanza.body, into);
}

Result<SecretString> unwrap_with_passphrase(const AgeStanza& stanza, const AgeOpeners& openers) {
  const auto read = read_scrypt(stanza, openers.scrypt_log_n_max);
  if (!read) return failure(read.error());
  if (!openers.passphrase) {
    return failure(Error(ErrorKind::denied, "age: this file is sealed with a passphrase, not to a key"));
  }
  const auto passphrase = openers.passphrase();
  if (!passphrase) return failure(passphrase.error());
  Key key;
  if (!scrypt(passphrase->reveal(), std::string(scrypt_label) + read->salt, read->log_n, key)) {
    return failure(ErrorKind::exhausted, "age: not enough memory for the scrypt work factor of this file");
  }
  std::string opened;
  opened.reserve(wrapped_bytes);
  if (!ChaCha20Poly1305(key).open({}, read->body, opened)) {
    return failure(ErrorKind::denied, "age: wrong passphrase");
  }
  return SecretString::take(std::move(opened));
}

Result<SecretString> unwrap_with_identities(const Hkdf& hkdf, const AgeHeader& header,
                                            std::span<const AgeIdentity> identities) {
  std::vector<X25519Stanza> ours;
  bool hybrid = false;
  for (const AgeStanza& stanza : header.stanzas) {
    hybrid = hybrid || stanza.type == hybrid_type;
    if (stanza.type != x25519_type) continue;
    auto read = read_x25519(stanza);
    if (!read) return failure(std::move(read.error()));
    ours.push_back(std::move(*read));
  }
  for (const X25519Stanza& stanza : ours) {
    for (const AgeIdentity& identity : identities) {
      std::string opened;
      opened.reserve(wrapped_bytes);
      const auto mine = unwrap(hkdf, stanza, identity, opened);
      if (!mine) return failure(mine.error());
      if (*mine) return SecretString::take(std::move(opened));
    }
  }
  if (hybrid && ours.empty()) {
    return failure(ErrorKind::unsupported,
                   "age: this file is sealed to ML-KEM hybrid keys (mlkem768x25519) only, which are not supported");
  }
  return failure(ErrorKind::denied, "age: none of the keys at hand opens this file");
}

}  // namespace

Result<std::string> make_age_header(std::span<const AgeRecipient> recipients, AgeFileKey& file_key) {
  if (recipients.empty()) return refuse("no recipient to seal to");
  if (recipients.size() > recipients_max) return refuse("more than 1000 recipients");
  const Hkdf hkdf;
  random_bytes({file_key.data(), AgeFileKey::size()});
  std::vector<AgeStanza> stanzas;
  stanzas.reserve(recipients.size());
  for (const AgeRecipient& recipient : recipients) {
    auto stanza = wrap(hkdf, file_key, recipient.point());
    if (!stanza) return failure(std::move(stanza.error()));
    stanzas.push_back(std::move(*stanza));
  }
  return finish_header(hkdf, stanzas, file_key);
}

Result<std::string> make_age_header(const SecretString& passphrase, unsigned log_n, AgeFileKey& file_key) {
  if (passphrase.empty()) return refuse("an empty passphrase");
  if (log_n == 0 || log_n > age_scrypt_log_n_max) return refuse("a scrypt work factor outside of 1 to 22");
  random_bytes({file_key.data(), AgeFileKey::size()});
  SecretBytes<scrypt_salt_bytes> salt;
  random_bytes({salt.data(), salt.size()});
  Key key;
  if (!scrypt(passphrase.reveal(), std::string(scrypt_label) + std::string(salt.view()), log_n, key)) {
    return failure(ErrorKind::exhausted, "age: not enough memory for this scrypt work factor");
  }
  AgeStanza stanza{.type = std::string(scrypt_type),
                   .arguments = {base64_encode(salt.view(), Padding::unpadded), std::to_string(log_n)}};
  ChaCha20Poly1305(key).seal({}, file_key.view(), stanza.body);
  return finish_header(Hkdf(), {std::move(stanza)}, file_key);
}

Result<SecretString> open_age_header(const AgeHeader& header, const AgeOpeners& openers) {
  const Hkdf hkdf;
  const bool passphrase =
      std::ranges::any_of(header.stanzas, [](const AgeStanza& stanza) { return stanza.type == scrypt_type; });
  if (passphrase && header.stanzas.size() > 1) return refuse("a passphrase beside other recipients");
  auto file_key = passphrase ? unwrap_with_passphrase(header.stanzas.front(), openers)
                             : unwrap_with_identities(hkdf, header, openers.identities);
  if (!file_key) return file_key;
  if (!equal_in_constant_time(header_mac(hkdf, file_key->reveal(), header.authenticated), header.mac)) {
    return refuse("the header's MAC does not match");
  }
  return file_key;
}

}  // namespace opi::secrets
