#pragma once
/// @file
/// A connected stream of bytes, whatever carries it: TCP, TLS, a unix socket, or memory.

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "aio/task.hpp"
#include "base/result.hpp"

namespace opi::aio {

/// Ownership: whoever holds the unique_ptr; destruction closes at once. Threading: one executor's thread.
/// Cancellation: terminal cancellation of the awaiting coroutine ends the operation with ErrorKind::cancelled.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// At least one byte, or 0 at the end of the stream.
  virtual Task<Result<std::size_t>> read_some(std::span<std::byte> into) = 0;
  /// All of it, or an error.
  virtual Task<Result<>> write_all(std::span<const std::byte> bytes) = 0;
  /// Ends our direction cleanly (TLS close_notify, FIN).
  virtual Task<Result<>> shutdown() = 0;
  /// Closes now; pending operations end with ErrorKind::cancelled. Idempotent.
  virtual void close() noexcept = 0;
  /// For logs: "127.0.0.1:5432", "unix", "memory".
  virtual std::string peer() const = 0;
};

using StreamPtr = std::unique_ptr<ByteStream>;

/// Two ends of a pipe in memory, for tests; each buffers at most `capacity` bytes.
std::pair<StreamPtr, StreamPtr> make_memory_streams(asio::any_io_executor executor, std::size_t capacity);

}  // namespace opi::aio
