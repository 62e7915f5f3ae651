#pragma once
/// @file
/// A connected stream of bytes, whatever carries it: TCP, TLS, a unix socket, or memory.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

namespace opi::aio {

class BlockingPool;

/// Ownership: whoever holds the unique_ptr; destruction closes at once, after the operations on it have ended.
/// Threading: one executor's thread; at most one read and one write at a time.
/// Cancellation: terminal cancellation of the awaiting coroutine ends the operation with ErrorKind::cancelled. A write
/// that was cancelled may have sent a part: close the stream then.
/// Errors: unavailable (reset, broken pipe), cancelled, closed, internal.
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

/// The bytes of a text, for write_all.
inline std::span<const std::byte> bytes_of(std::string_view text) noexcept {
  return std::as_bytes(std::span(text));
}

/// Two ends of a pipe in memory, for tests; each buffers at most `capacity` bytes.
std::pair<StreamPtr, StreamPtr> make_memory_streams(const asio::any_io_executor& executor, std::size_t capacity);

/// Connects over TCP, to each address of `host` in turn until one answers; each gets its share of the time that is
/// left. A name is looked up on `names` (it outlives the io_context's work); an address literal needs no lookup.
/// Errors: not_found (no such host), unavailable (refused, unreachable), timed_out, cancelled.
Task<Result<StreamPtr>> connect_tcp(BlockingPool* names, std::string host, std::uint16_t port, SteadyTime deadline);

/// Connects to the unix socket at `path`. Errors as for TCP.
Task<Result<StreamPtr>> connect_unix(std::string path, SteadyTime deadline);

}  // namespace opi::aio
