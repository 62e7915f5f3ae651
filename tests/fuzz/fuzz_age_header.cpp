// The header of an age file on any bytes: what is read is written again as it stood, and a whole file never opens by
// accident.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "secrets/age.hpp"
#include "secrets/age_header.hpp"
#include "secrets/age_stream.hpp"

namespace {

void demand(bool condition) {
  if (!condition) std::abort();
}

const opi::secrets::AgeIdentity& identity() {
  static const auto key =
      opi::secrets::AgeIdentity::parse("AGE-SECRET-KEY-15SNRF5Z6NYNWJPRD09GJC0F55SMFFT3UQF5EQNMSN5E3MVFP6WCQP08H7G")
          .value();
  return key;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const auto header = opi::secrets::parse_age_header(file);
  if (header) {
    demand(opi::secrets::write_age_header(header->stanzas) == header->authenticated);
    demand(header->mac.size() == 32);
    demand(file.ends_with(header->payload));
  } else {
    demand(!header.error().message.empty());
  }
  // All at once or byte by byte: one answer. A passphrase is never asked for, so nothing is stretched.
  const auto whole = opi::secrets::age_decrypt(file, std::span(&identity(), 1));
  opi::secrets::AgeDecryptor decryptor({.identities = std::span(&identity(), 1)});
  std::string plain;
  opi::Result<> ended;
  for (std::size_t at = 0; at < file.size() && ended; at += 7) ended = decryptor.write(file.substr(at, 7), plain);
  if (ended) ended = decryptor.finish(plain);
  demand(ended.has_value() == whole.has_value());
  if (whole) demand(whole->equals(plain));
  return 0;
}
