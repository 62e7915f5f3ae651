#include "secrets/aes_gcm.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <stdexcept>

#include "base/secret_string.hpp"

namespace opi::secrets {
namespace {

constexpr std::size_t nonce_bytes_max = 1024;

// A library that cannot do its arithmetic is a broken invariant, not an answer.
void require(bool done, const char* what) {
  if (!done) throw std::runtime_error(std::string("OpenSSL: ") + what);
}

const unsigned char* bytes_of(std::string_view text) noexcept {
  return reinterpret_cast<const unsigned char*>(text.data());
}

int size_of(std::string_view text) noexcept {
  return static_cast<int>(text.size());
}

}  // namespace

void Aes256Gcm::Free::operator()(evp_cipher_ctx_st* context) const noexcept {
  EVP_CIPHER_CTX_free(context);
}
void Aes256Gcm::Free::operator()(evp_cipher_st* cipher) const noexcept {
  EVP_CIPHER_free(cipher);
}

Aes256Gcm::Aes256Gcm(std::string_view key)
    : cipher_(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr)), context_(EVP_CIPHER_CTX_new()) {
  if (key.size() != key_size) throw std::invalid_argument("AES-256-GCM: a key that is not 32 bytes");
  require(cipher_ != nullptr && context_ != nullptr, "AES-256-GCM");
  require(EVP_CipherInit_ex2(context_.get(), cipher_.get(), bytes_of(key), nullptr, 1, nullptr) == 1,
          "AES-256-GCM key");
}

std::string Aes256Gcm::seal(std::string_view nonce, std::string_view associated, std::string_view plaintext) {
  std::string sealed(plaintext.size() + tag_size, '\0');
  auto* out = reinterpret_cast<unsigned char*>(sealed.data());
  int written = 0;
  int rest = 0;
  auto* context = context_.get();
  require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, size_of(nonce), nullptr) == 1, "GCM: nonce length");
  require(EVP_CipherInit_ex2(context, nullptr, nullptr, bytes_of(nonce), 1, nullptr) == 1, "GCM: start");
  require(EVP_CipherUpdate(context, nullptr, &written, bytes_of(associated), size_of(associated)) == 1, "GCM: data");
  require(EVP_CipherUpdate(context, out, &written, bytes_of(plaintext), size_of(plaintext)) == 1, "GCM: encrypt");
  require(EVP_CipherFinal_ex(context, out + written, &rest) == 1, "GCM: finish");
  require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, tag_size, out + plaintext.size()) == 1, "GCM: tag");
  return sealed;
}

bool Aes256Gcm::open(std::string_view nonce, std::string_view associated, std::string_view ciphertext,
                     std::string_view tag, std::string& into) {
  if (nonce.empty() || nonce.size() > nonce_bytes_max || tag.size() != tag_size) return false;
  std::array<unsigned char, tag_size> expected{};
  std::copy_n(bytes_of(tag), tag_size, expected.data());
  const std::size_t start = into.size();
  into.resize(start + ciphertext.size());
  auto* out = reinterpret_cast<unsigned char*>(into.data()) + start;
  int written = 0;
  int rest = 0;
  auto* context = context_.get();
  require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, size_of(nonce), nullptr) == 1, "GCM: nonce length");
  require(EVP_CipherInit_ex2(context, nullptr, nullptr, bytes_of(nonce), 0, nullptr) == 1, "GCM: start");
  require(EVP_CipherUpdate(context, nullptr, &written, bytes_of(associated), size_of(associated)) == 1, "GCM: data");
  require(EVP_CipherUpdate(context, out, &written, bytes_of(ciphertext), size_of(ciphertext)) == 1, "GCM: decrypt");
  require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, tag_size, expected.data()) == 1, "GCM: tag");
  if (EVP_CipherFinal_ex(context, out + written, &rest) == 1) return true;
  wipe(into.data() + start, ciphertext.size());  // unauthenticated bytes are nobody's plaintext
  into.resize(start);
  return false;
}

void Sha512::Free::operator()(evp_md_ctx_st* context) const noexcept {
  EVP_MD_CTX_free(context);
}

Sha512::Sha512() : context_(EVP_MD_CTX_new()) {
  require(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha512(), nullptr) == 1, "SHA-512");
}

void Sha512::add(std::string_view bytes) {
  require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1, "SHA-512: add");
}

std::string Sha512::finish_hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  require(EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1, "SHA-512: finish");
  static constexpr std::string_view digits = "0123456789ABCDEF";
  std::string text;
  text.reserve(std::size_t{size} * 2);
  for (unsigned i = 0; i < size; ++i) {
    text.push_back(digits[digest[i] >> 4U]);
    text.push_back(digits[digest[i] & 15U]);
  }
  return text;
}

}  // namespace opi::secrets
