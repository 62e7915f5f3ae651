// Arrays of one dimension, in text and in binary form.
#include "pg/field.hpp"
#include "pg/network_order.hpp"

namespace opi::pg {
namespace {

using Values = std::vector<std::optional<std::string>>;

/// A quoted element, after its first quote; false when it does not end.
bool read_quoted(std::string_view text, std::size_t& at, std::string& element) {
  for (; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\' && ++at == text.size()) return false;
    element += text[at];
  }
  if (at == text.size()) return false;
  ++at;
  return true;
}

/// Reads what array_out writes for one dimension; false when it is anything else.
bool parse_text(std::string_view text, Values& into) {
  if (text.starts_with('[')) {  // explicit lower bounds: [0:1]={…}
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) return false;
    text.remove_prefix(equals + 1);
  }
  if (text.size() < 2 || text.front() != '{' || text.back() != '}') return false;
  text = text.substr(1, text.size() - 2);
  if (text.empty()) return true;
  for (std::size_t at = 0;;) {
    std::string element;
    if (at < text.size() && text[at] == '"') {
      if (!read_quoted(text, ++at, element)) return false;
      into.emplace_back(std::move(element));
    } else {
      for (; at < text.size() && text[at] != ','; ++at) {
        if (text[at] == '{' || text[at] == '"') return false;
        element += text[at];
      }
      if (element.empty()) return false;
      if (element == "NULL") {
        into.emplace_back(std::nullopt);
      } else {
        into.emplace_back(std::move(element));
      }
    }
    if (at == text.size()) return true;
    if (text[at] != ',') return false;
    ++at;
  }
}

/// Dimensions, a flag, the elements' type; for each dimension its length and lower bound; then each element with its
/// length, -1 for NULL (array_send).
bool parse_binary(std::string_view bytes, ArrayElements& into) {
  constexpr std::size_t header_bytes = 12;
  constexpr std::size_t dimension_bytes = 8;
  if (bytes.size() < header_bytes) return false;
  const auto dimensions = from_network<std::uint32_t>(bytes);
  into.type = from_network<std::uint32_t>(bytes.substr(8));
  bytes.remove_prefix(header_bytes);
  if (dimensions == 0) return bytes.empty();
  if (dimensions != 1 || bytes.size() < dimension_bytes) return false;
  const auto count = from_network<std::uint32_t>(bytes);
  bytes.remove_prefix(dimension_bytes);
  for (std::uint32_t element = 0; element < count; ++element) {
    if (bytes.size() < 4) return false;
    const auto size = from_network<std::uint32_t>(bytes);
    bytes.remove_prefix(4);
    if (size == 0xFFFF'FFFF) {
      into.values.emplace_back(std::nullopt);
      continue;
    }
    if (bytes.size() < size) return false;
    into.values.emplace_back(std::string(bytes.substr(0, size)));
    bytes.remove_prefix(size);
  }
  return bytes.empty();
}

}  // namespace

ArrayElements elements_of(const Field& field) {
  ArrayElements elements;
  const bool read =
      field.format == Format::text ? parse_text(field.bytes, elements.values) : parse_binary(field.bytes, elements);
  if (!read) throw_mismatch(field, "array of one dimension");
  return elements;
}

}  // namespace opi::pg
