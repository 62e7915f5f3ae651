#pragma once
/// @file
/// A UTF-8 text by characters: what is allowed in it, and from libyaml's character index to byte, line and column.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace opi::yaml {

/// A position in a text: bytes and characters from 0, line and column from 1. CR, LF and CR LF end a line.
struct Position {
  std::size_t byte = 0;
  std::size_t character = 0;
  int line = 1;
  int column = 1;
};

/// What is wrong with a text, and where.
struct TextFault {
  Position position;
  std::string what;
};

/// The first byte that is not UTF-8 (overlong forms, surrogates and NUL included) or not a printable character of YAML
/// 1.2.2 §5.1. Linear.
std::optional<TextFault> find_text_fault(std::string_view text);

/// Printable ASCII, tabs and line breaks alone: each character is one byte.
bool is_plain_ascii(std::string_view text) noexcept;

/// Walks a valid text by character index. Moves both ways from where it stands; asked in rising order it is linear.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}
  /// Past the end: the end.
  const Position& at(std::size_t character);

 private:
  void forward();
  void back();
  std::string_view text_;
  Position position_;
};

}  // namespace opi::yaml
