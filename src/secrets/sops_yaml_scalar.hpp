#pragma once
/// @file
/// Strings as YAML scalars, in the style that go-yaml would choose.

#include <cstddef>
#include <string>
#include <string_view>

namespace opi::secrets::sops {

/// Plain, in single or double quotes, or as a literal block whose lines are indented by `indent` spaces, `deeper` of
/// them relative to what holds it. A block ends with a line break, the other styles do not. Bytes that are no UTF-8 are
/// written as !!binary.
std::string write_yaml_string(std::string_view text, std::size_t indent, std::size_t deeper);
/// The same on one line.
std::string write_yaml_key(std::string_view text);

}  // namespace opi::secrets::sops
