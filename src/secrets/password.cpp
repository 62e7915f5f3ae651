#include "secrets/password.hpp"

#include <array>
#include <stdexcept>
#include <string>
#include <string_view>

#include "secrets/base64.hpp"
#include "secrets/primitives.hpp"
#include "secrets/secret_ledger.hpp"

namespace opi::secrets {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
constexpr std::size_t length_min = 20;
constexpr int per_class_min = 3;

/// Random characters of the alphabet: of each random byte the low 6 bits count, and the two values without a character
/// are thrown away.
void fill(std::string& password, std::size_t length) {
  SecretBytes<64> random;
  password.clear();
  while (password.size() < length) {
    random_bytes({random.data(), random.size()});
    for (std::size_t i = 0; i < random.size() && password.size() < length; ++i) {
      const std::size_t index = random.data()[i] & 63U;
      if (index < alphabet.size()) password.push_back(alphabet[index]);
    }
  }
}

bool every_class(std::string_view password) noexcept {
  int upper = 0;
  int lower = 0;
  int digits = 0;
  for (const char c : password) {
    upper += c >= 'A' && c <= 'Z' ? 1 : 0;
    lower += c >= 'a' && c <= 'z' ? 1 : 0;
    digits += c >= '0' && c <= '9' ? 1 : 0;
  }
  return upper >= per_class_min && lower >= per_class_min && digits >= per_class_min;
}

}  // namespace

SecretString generate_password(std::size_t length) {
  if (length < length_min) throw std::invalid_argument("a generated password has at least 20 characters");
  std::string password;
  password.reserve(length);
  // Drawn anew as a whole until every class is there: all such passwords are equally likely. About two draws in three
  // pass at length 20.
  do fill(password, length);
  while (!every_class(password));
  note_made_secret(password);
  return SecretString::take(std::move(password));
}

SecretString generate_key(std::size_t bytes) {
  std::string key(bytes, '\0');
  random_bytes({reinterpret_cast<unsigned char*>(key.data()), key.size()});
  note_made_secret(base64_encode(key));
  return SecretString::take(std::move(key));
}

}  // namespace opi::secrets
