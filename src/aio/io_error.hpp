#pragma once
/// @file
/// Asio's error codes as Errors of the house.

#include <boost/system/error_code.hpp>
#include <string>

#include "base/result.hpp"

namespace opi::aio {

/// `what` as message, the code's text as cause, its errno name (or number and category) as code. Kinds:
/// operation_aborted is cancelled; refused, reset, unreachable, end of stream and name server trouble are unavailable;
/// no such host is not_found; an address in use is conflict; out of descriptors or memory is exhausted. Pure.
Error io_error(std::string what, const boost::system::error_code& code);

/// What an operation gives whose caller is cancelled already.
inline std::unexpected<Error> cancelled_before(std::string what) {
  return failure(ErrorKind::cancelled, std::move(what));
}

}  // namespace opi::aio
