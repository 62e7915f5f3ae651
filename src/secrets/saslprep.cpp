#include "secrets/saslprep.hpp"

#include <stringprep.h>

#include <algorithm>
#include <string>

namespace opi::secrets {

SecretString saslprep(const SecretString& password) {
  const std::string_view text = password.reveal();
  if (std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7F; })) return password.copy();
  if (text.find('\0') != std::string_view::npos) return password.copy();
  // Normalised text may be longer: the worst character grows eighteenfold.
  std::string buffer(text.size() * 18 + 16, '\0');
  std::ranges::copy(text, buffer.begin());
  const int problem = stringprep(buffer.data(), buffer.size(), STRINGPREP_NO_UNASSIGNED, stringprep_saslprep);
  const std::size_t size = buffer.find('\0');
  SecretString prepared(std::string_view(buffer).substr(0, size));
  wipe(buffer);
  if (problem != STRINGPREP_OK || prepared.empty()) return password.copy();
  return prepared;
}

}  // namespace opi::secrets
