#pragma once
/// @file
/// The coroutine type of the house and the few Asio names that go with it.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace opi {

namespace asio = boost::asio;

/// A coroutine that has not started; `co_await` it once. Parameters by value, no capturing lambdas.
template <class T = void>
using Task = asio::awaitable<T>;

/// Completion token for Asio operations in our code: error codes as values, no exceptions.
inline constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

}  // namespace opi
