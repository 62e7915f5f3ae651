#include "secrets/scram.hpp"

#include <openssl/evp.h>

#include <array>
#include <charconv>
#include <optional>
#include <stdexcept>

#include "secrets/base64.hpp"
#include "secrets/keyed_hash.hpp"
#include "secrets/primitives.hpp"
#include "secrets/saslprep.hpp"

namespace opi::secrets {
namespace {

constexpr std::string_view mechanism = "SCRAM-SHA-256$";
constexpr std::uint32_t iterations_default = 4096;  // PostgreSQL's
constexpr std::uint32_t iterations_max = 1'000'000;
constexpr std::size_t salt_bytes = 16;
constexpr std::size_t salt_bytes_max = 64;
constexpr std::size_t key_bytes = 32;

std::string_view view(const std::array<unsigned char, key_bytes>& bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct Verifier {
  std::uint32_t iterations = 0;
  std::string salt;
  std::string stored_key;
  std::string server_key;
};

/// RFC 5802 §3: the keys that follow from a password.
Verifier derive(std::string_view password, std::string_view salt, std::uint32_t iterations) {
  Key salted;
  if (PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()),
                        reinterpret_cast<const unsigned char*>(salt.data()), static_cast<int>(salt.size()),
                        static_cast<int>(iterations), EVP_sha256(), static_cast<int>(Key::size()),
                        salted.data()) != 1) {
    throw std::runtime_error("OpenSSL: PBKDF2");
  }
  auto client_key = hmac_sha256(salted.view(), "Client Key");
  const Digest stored = sha256(view(client_key));
  wipe(client_key.data(), client_key.size());
  const auto server_key = hmac_sha256(salted.view(), "Server Key");
  return {.iterations = iterations,
          .salt = std::string(salt),
          .stored_key = std::string(reinterpret_cast<const char*>(stored.data()), stored.size()),
          .server_key = std::string(view(server_key))};
}

/// Takes what stands before the first `end`; empty optional without one.
std::optional<std::string_view> take_until(std::string_view& text, char end) noexcept {
  const std::size_t at = text.find(end);
  if (at == std::string_view::npos) return {};
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(at + 1);
  return taken;
}

std::optional<Verifier> parse(std::string_view text) {
  if (!text.starts_with(mechanism)) return {};
  text.remove_prefix(mechanism.size());
  const auto count = take_until(text, ':');
  const auto salt = count ? take_until(text, '$') : std::nullopt;
  const auto stored = salt ? take_until(text, ':') : std::nullopt;
  if (!stored) return {};
  Verifier verifier;
  const auto [end, problem] = std::from_chars(count->data(), count->data() + count->size(), verifier.iterations);
  if (problem != std::errc{} || end != count->data() + count->size()) return {};
  if (verifier.iterations == 0 || verifier.iterations > iterations_max) return {};
  auto salt_decoded = base64_decode(*salt);
  auto stored_decoded = base64_decode(*stored);
  auto server_decoded = base64_decode(text);
  if (!salt_decoded || !stored_decoded || !server_decoded) return {};
  if (salt_decoded->empty() || salt_decoded->size() > salt_bytes_max) return {};
  if (stored_decoded->size() != key_bytes || server_decoded->size() != key_bytes) return {};
  verifier.salt = std::move(*salt_decoded);
  verifier.stored_key = std::move(*stored_decoded);
  verifier.server_key = std::move(*server_decoded);
  return verifier;
}

}  // namespace

Result<std::string> scram_verifier(const SecretString& password) {
  std::array<unsigned char, salt_bytes> salt{};
  random_bytes(salt);
  return scram_verifier(password, {reinterpret_cast<const char*>(salt.data()), salt.size()}, iterations_default);
}

Result<std::string> scram_verifier(const SecretString& password, std::string_view salt, std::uint32_t iterations) {
  if (password.empty()) return failure(ErrorKind::invalid, "an empty password");
  for (const char c : password.reveal()) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 32 || byte == 127) return failure(ErrorKind::invalid, "a password with a control character");
  }
  if (salt.empty() || salt.size() > salt_bytes_max) return failure(ErrorKind::invalid, "a salt has 1 to 64 bytes");
  if (iterations == 0 || iterations > iterations_max) {
    return failure(ErrorKind::invalid, "an iteration count is 1 to 1000000");
  }
  const Verifier keys = derive(saslprep(password).reveal(), salt, iterations);
  return std::string(mechanism) + std::to_string(iterations) + ':' + base64_encode(keys.salt) + '$' +
         base64_encode(keys.stored_key) + ':' + base64_encode(keys.server_key);
}

bool scram_matches(std::string_view verifier, const SecretString& password) {
  const auto known = parse(verifier);
  if (!known || password.empty()) return false;
  const Verifier mine = derive(saslprep(password).reveal(), known->salt, known->iterations);
  const bool stored = equal_in_constant_time(mine.stored_key, known->stored_key);
  const bool server = equal_in_constant_time(mine.server_key, known->server_key);
  return stored && server;
}

}  // namespace opi::secrets
