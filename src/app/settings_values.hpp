#pragma once
/// @file
/// From the text of a setting to its value and back; each function says what is wrong and what instead.

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace opi::app {

/// A value, or what is wrong and what instead ("\"ten\" is not a whole number; write one from 1 to 1000").
template <class T>
using Parsed = std::expected<T, std::string>;

/// Durations: "500ms", "30s", "2m", "24h", and "0". At most ten years, so that sums never overflow.
Parsed<std::chrono::milliseconds> duration_from(std::string_view text);
/// The shortest exact form: 90000 ms is "90s", 120000 ms is "2m", 0 is "0s".
std::string duration_text(std::chrono::milliseconds duration);

/// A decimal whole number in [least, most], nothing else around it.
Parsed<std::uint64_t> whole_number_from(std::string_view text, std::uint64_t least, std::uint64_t most);
/// A decimal fraction in [0, 1].
Parsed<double> share_from(std::string_view text);
/// Bytes: "16384", "16KiB", "1MiB"; in [least, most].
Parsed<std::uint32_t> size_from(std::string_view text, std::uint32_t least, std::uint32_t most);
/// The shortest exact form: 16384 is "16KiB".
std::string size_text(std::uint64_t bytes);

/// `text` between double quotes for a message: control characters escaped, cut after 60 bytes.
std::string in_quotes(std::string_view text);

/// "host", "host:port", "[v6]:port" or an absolute directory; the parts, the port empty when none is written.
struct HostText {
  std::string host;
  std::optional<std::uint16_t> port;
};
Parsed<HostText> host_from(std::string_view text);

}  // namespace opi::app
