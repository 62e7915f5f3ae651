#include "secrets/primitives.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <system_error>

namespace opi::secrets {
namespace {

// A library that cannot do its arithmetic is a broken invariant, not an answer.
void require(bool done, const char* what) {
  if (!done) throw std::runtime_error(std::string("OpenSSL: ") + what);
}

const unsigned char* bytes_of(std::string_view text) noexcept {
  return reinterpret_cast<const unsigned char*>(text.data());
}

struct FreePkey {
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
  void operator()(EVP_PKEY_CTX* context) const noexcept { EVP_PKEY_CTX_free(context); }
  void operator()(EVP_KDF_CTX* context) const noexcept { EVP_KDF_CTX_free(context); }
};

std::unique_ptr<EVP_PKEY, FreePkey> private_key(std::string_view scalar) {
  std::unique_ptr<EVP_PKEY, FreePkey> key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, bytes_of(scalar), scalar.size()));
  require(key != nullptr, "X25519 private key");
  return key;
}

}  // namespace

void random_bytes(std::span<unsigned char> bytes) {
  constexpr std::size_t at_once = 256;  // getentropy's limit
  for (std::size_t done = 0; done < bytes.size();) {
    const std::size_t part = std::min(at_once, bytes.size() - done);
    if (getentropy(bytes.data() + done, part) != 0) {
      throw std::system_error(errno, std::generic_category(), "getentropy");
    }
    done += part;
  }
}

bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::array<unsigned char, 32> x25519_public(std::string_view scalar) {
  const auto key = private_key(scalar);
  std::array<unsigned char, 32> point{};
  std::size_t size = point.size();
  require(EVP_PKEY_get_raw_public_key(key.get(), point.data(), &size) == 1 && size == point.size(),
          "X25519 public key");
  return point;
}

bool x25519(std::string_view scalar, std::string_view point, Key& shared) {
  const auto own = private_key(scalar);
  const std::unique_ptr<EVP_PKEY, FreePkey> peer(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, bytes_of(point), point.size()));
  require(peer != nullptr, "X25519 peer key");
  const std::unique_ptr<EVP_PKEY_CTX, FreePkey> context(EVP_PKEY_CTX_new(own.get(), nullptr));
  require(context != nullptr && EVP_PKEY_derive_init(context.get()) == 1, "X25519 derive");
  std::size_t size = Key::size();
  // The library refuses a point of low order, here or in the derivation; both mean an all-zero secret.
  if (EVP_PKEY_derive_set_peer(context.get(), peer.get()) != 1) return false;
  if (EVP_PKEY_derive(context.get(), shared.data(), &size) != 1 || size != Key::size()) return false;
  static constexpr std::array<char, 32> zeros{};
  return !equal_in_constant_time(shared.view(), {zeros.data(), zeros.size()});
}

bool scrypt(std::string_view passphrase, std::string_view salt, unsigned log_n, Key& key) {
  if (log_n == 0 || log_n > 30) throw std::invalid_argument("scrypt: a work factor outside of 1 to 30");
  constexpr std::uint64_t block = 128U * 8U;
  const std::uint64_t n = std::uint64_t{1} << log_n;
  const std::uint64_t memory = block * (n + 16);  // what the algorithm needs, and its working blocks
  return EVP_PBE_scrypt(passphrase.data(), passphrase.size(), bytes_of(salt), salt.size(), n, 8, 1, memory, key.data(),
                        Key::size()) == 1;
}

std::array<unsigned char, 32> hmac_sha256(std::string_view key, std::string_view bytes) {
  std::array<unsigned char, 32> digest{};
  unsigned size = 0;
  require(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes_of(bytes), bytes.size(), digest.data(),
               &size) != nullptr &&
              size == digest.size(),
          "HMAC-SHA-256");
  return digest;
}

void Hkdf::Free::operator()(evp_kdf_st* kdf) const noexcept {
  EVP_KDF_free(kdf);
}

Hkdf::Hkdf() : kdf_(EVP_KDF_fetch(nullptr, "HKDF", nullptr)) {
  require(kdf_ != nullptr, "HKDF");
}

void Hkdf::derive(std::string_view input, std::string_view salt, std::string_view info, Key& into) const {
  const std::unique_ptr<EVP_KDF_CTX, FreePkey> context(EVP_KDF_CTX_new(kdf_.get()));
  require(context != nullptr, "HKDF context");
  // The parameters are read only; the interface just does not say so.
  const auto octets = [](const char* name, std::string_view value) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<char*>(value.data()), value.size());
  };
  std::array<char, 7> digest{"SHA256"};
  std::array<OSSL_PARAM, 5> parameters{};
  std::size_t count = 0;
  parameters[count++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0);
  parameters[count++] = octets(OSSL_KDF_PARAM_KEY, input);
  if (!salt.empty()) parameters[count++] = octets(OSSL_KDF_PARAM_SALT, salt);  // none is 32 zeros: the same as empty
  parameters[count++] = octets(OSSL_KDF_PARAM_INFO, info);
  parameters[count] = OSSL_PARAM_construct_end();
  require(EVP_KDF_derive(context.get(), into.data(), Key::size(), parameters.data()) == 1, "HKDF derive");
}

void ChaCha20Poly1305::Free::operator()(evp_cipher_ctx_st* context) const noexcept {
  EVP_CIPHER_CTX_free(context);
}
void ChaCha20Poly1305::Free::operator()(evp_cipher_st* cipher) const noexcept {
  EVP_CIPHER_free(cipher);
}

ChaCha20Poly1305::ChaCha20Poly1305(const Key& key)
    : cipher_(EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr)), context_(EVP_CIPHER_CTX_new()) {
  require(cipher_ != nullptr && context_ != nullptr, "ChaCha20-Poly1305");
  require(EVP_CipherInit_ex2(context_.get(), cipher_.get(), key.data(), nullptr, 1, nullptr) == 1, "ChaCha20 key");
}

void ChaCha20Poly1305::seal(const Nonce& nonce, std::string_view plaintext, std::string& into) {
  const std::size_t start = into.size();
  into.resize(start + plaintext.size() + tag_size);
  seal_to(nonce, plaintext, into.data() + start);
}

void ChaCha20Poly1305::seal_to(const Nonce& nonce, std::string_view plaintext, char* into) {
  auto* out = reinterpret_cast<unsigned char*>(into);
  int written = 0;
  int rest = 0;
  require(EVP_EncryptInit_ex2(context_.get(), nullptr, nullptr, nonce.data(), nullptr) == 1, "seal: start");
  require(
      EVP_EncryptUpdate(context_.get(), out, &written, bytes_of(plaintext), static_cast<int>(plaintext.size())) == 1,
      "seal: encrypt");
  require(EVP_EncryptFinal_ex(context_.get(), out + written, &rest) == 1, "seal: finish");
  require(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, tag_size, out + plaintext.size()) == 1,
          "seal: tag");
}

bool ChaCha20Poly1305::open(const Nonce& nonce, std::string_view sealed, std::string& into) {
  if (sealed.size() < tag_size) return false;
  const std::size_t start = into.size();
  into.resize(start + sealed.size() - tag_size);
  if (open_to(nonce, sealed, into.data() + start)) return true;
  into.resize(start);
  return false;
}

bool ChaCha20Poly1305::open_to(const Nonce& nonce, std::string_view sealed, char* into) {
  if (sealed.size() < tag_size) return false;
  const std::size_t size = sealed.size() - tag_size;
  std::array<unsigned char, tag_size> tag{};
  std::copy_n(bytes_of(sealed) + size, tag_size, tag.data());
  auto* out = reinterpret_cast<unsigned char*>(into);
  int written = 0;
  int rest = 0;
  require(EVP_DecryptInit_ex2(context_.get(), nullptr, nullptr, nonce.data(), nullptr) == 1, "open: start");
  require(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_TAG, tag_size, tag.data()) == 1, "open: tag");
  require(EVP_DecryptUpdate(context_.get(), out, &written, bytes_of(sealed), static_cast<int>(size)) == 1,
          "open: decrypt");
  if (EVP_DecryptFinal_ex(context_.get(), out + written, &rest) == 1) return true;
  wipe(into, size);  // unauthenticated bytes are nobody's plaintext
  return false;
}

}  // namespace opi::secrets
