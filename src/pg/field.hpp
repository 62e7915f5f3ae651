#pragma once
/// @file
/// One value of a result, as it travelled, and what C++ makes of it.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pg/param.hpp"
#include "pg/types.hpp"

struct pg_result;  // libpq's PGresult

namespace opi::pg {

/// A value that is not NULL; borrows its bytes from the result. The binary forms are those of the types' send functions
/// in the server (int4send, numeric_send, array_send …), the text forms those of their output functions under our
/// startup pins.
struct Field {
  std::string_view bytes;
  std::uint32_t type = oid::unknown;
  Format format = Format::text;
  const pg_result* result = nullptr;  ///< for messages
  int column = 0;
};

/// Says which column, of which type, is not a `wanted`: std::logic_error, for statement and caller disagree.
[[noreturn]] void throw_mismatch(const Field& field, std::string_view wanted);

/// The value as a number within the bounds; from any integer type and oid, and from text form of anything that reads
/// so.
std::int64_t decode_integer(const Field& field, std::int64_t least, std::int64_t most);

// Each throws through throw_mismatch for a value that does not fit.
template <Integer T>
void decode(const Field& field, T& into) {
  if constexpr (sizeof(T) == 8) {
    into = static_cast<T>(
        decode_integer(field, std::numeric_limits<T>::min() == 0 ? 0 : std::numeric_limits<std::int64_t>::min(),
                       std::numeric_limits<std::int64_t>::max()));
  } else {
    into = static_cast<T>(decode_integer(field, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
  }
}
void decode(const Field& field, bool& into);
void decode(const Field& field, float& into);
void decode(const Field& field, double& into);
/// Text form: of any type. Binary: text types, json, and those that this room does not know.
void decode(const Field& field, std::string& into);
/// As std::string, without a copy; valid while the ResultSet lives.
void decode(const Field& field, std::string_view& into);
void decode(const Field& field, std::vector<std::byte>& into);
void decode(const Field& field, Json& into);
void decode(const Field& field, Numeric& into);
void decode(const Field& field, Uuid& into);
void decode(const Field& field, Timestamp& into);
void decode(const Field& field, Date& into);

/// The elements of an array of one dimension, each as a value of its own; nullopt for NULL.
struct ArrayElements {
  std::uint32_t type = oid::unknown;
  std::vector<std::optional<std::string>> values;
};
ArrayElements elements_of(const Field& field);

template <class T>
void decode(const Field& field, std::vector<std::optional<T>>& into) {
  const ArrayElements elements = elements_of(field);
  into.clear();
  into.reserve(elements.values.size());
  for (const auto& element : elements.values) {
    if (!element) {
      into.push_back(std::nullopt);
      continue;
    }
    T value{};
    decode(Field{.bytes = *element,
                 .type = elements.type,
                 .format = field.format,
                 .result = field.result,
                 .column = field.column},
           value);
    into.push_back(std::move(value));
  }
}

template <class T>
void decode(const Field& field, std::vector<T>& into) {
  std::vector<std::optional<T>> elements;
  decode(field, elements);
  into.clear();
  into.reserve(elements.size());
  for (auto& element : elements) {
    if (!element) throw_mismatch(field, "array without NULL elements");
    into.push_back(*std::move(element));
  }
}

}  // namespace opi::pg
