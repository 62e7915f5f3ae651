// Bech32 on any bytes: what is accepted has one text in each case, and is written as that again.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "secrets/age.hpp"
#include "secrets/bech32.hpp"

namespace {

void demand(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto encoded = opi::secrets::bech32_encode("age", text);
  demand(opi::secrets::bech32_decode(encoded.reveal())->data.equals(text));
  const auto decoded = opi::secrets::bech32_decode(text);
  if (decoded) {
    std::string lower(text);
    std::ranges::transform(lower, lower.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    demand(opi::secrets::bech32_encode(decoded->prefix, decoded->data.reveal()).equals(lower));
  }
  if (const auto recipient = opi::secrets::AgeRecipient::parse(text)) {
    demand(opi::secrets::AgeRecipient::parse(recipient->to_string()).value() == *recipient);
  }
  (void)opi::secrets::AgeIdentity::parse_all(text);
  (void)opi::secrets::AgeRecipient::parse_all(text);
  return 0;
}
