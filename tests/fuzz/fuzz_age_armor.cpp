// Armor on any bytes: what is accepted is the one way to write what is in it, but for white space and line ends.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "secrets/age.hpp"
#include "secrets/age_stream.hpp"

namespace {

void demand(bool condition) {
  if (!condition) std::abort();
}

std::string without_space(std::string_view text) {
  std::string kept;
  for (const char c : text) {
    if (std::string_view(" \t\r\n\v\f").find(c) == std::string_view::npos) kept.push_back(c);
  }
  return kept;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  demand(opi::secrets::age_dearmor(opi::secrets::age_armor(text)).value() == text);
  const auto binary = opi::secrets::age_dearmor(text);
  if (binary) demand(without_space(opi::secrets::age_armor(*binary)) == without_space(text));
  opi::secrets::AgeArmorReader reader;
  std::string pieces;
  opi::Result<> ended;
  for (std::size_t at = 0; at < text.size() && ended; at += 5) ended = reader.read(text.substr(at, 5), pieces);
  if (ended) ended = reader.finish(pieces);
  demand(ended.has_value() == binary.has_value());
  if (binary) demand(pieces == *binary);
  return 0;
}
