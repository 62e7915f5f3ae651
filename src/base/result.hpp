#pragma once
/// @file
/// The return type of everything that can fail in an expected way.

#include <expected>
#include <utility>

#include "base/error.hpp"

namespace opi {

/// A value or an Error; `Result<>` is success or an Error.
template <class T = void>
using Result = std::expected<T, Error>;

/// Shorthand for `std::unexpected{Error{kind, message}}`.
inline std::unexpected<Error> failure(ErrorKind kind, std::string message) {
  return std::unexpected(Error(kind, std::move(message)));
}

/// Wraps an Error that is passed on.
inline std::unexpected<Error> failure(Error error) {
  return std::unexpected(std::move(error));
}

}  // namespace opi
