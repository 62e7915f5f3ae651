#pragma once
/// @file
/// The header of an age file: its grammar, strictly (https://age-encryption.org/v1, "Header").

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace opi::secrets {

/// The first line of every binary age file, without its line feed.
inline constexpr std::string_view age_intro = "age-encryption.org/v1";

/// One wrapped copy of the file key.
struct AgeStanza {
  std::string type;
  std::vector<std::string> arguments = {};
  std::string body = {};  ///< decoded
};

/// A parsed header. The views point into the file that was parsed.
struct AgeHeader {
  std::vector<AgeStanza> stanzas;
  std::string mac;                 ///< 32 bytes, not yet checked
  std::string_view authenticated;  ///< what the MAC covers: from the first byte through "---"
  std::string_view payload;        ///< everything after the header
};

/// Reads the header at the start of `file`. Every rule of the format is enforced: line feeds only, single spaces,
/// printable arguments, canonical unpadded base64 wrapped at 64 columns, a MAC of 32 bytes. At most 1 000 stanzas, 1
/// MiB of header. Errors: invalid, with the line's number and the reason.
Result<AgeHeader> parse_age_header(std::string_view file);

/// The header through "---", to which the MAC line's rest is appended by whoever has the key.
std::string write_age_header(const std::vector<AgeStanza>& stanzas);

}  // namespace opi::secrets
