#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstring>
#include <vector>

#include "aio/byte_stream.hpp"
#include "aio/io_error.hpp"

namespace opi::aio {

namespace {

/// One direction. Shared by both ends and by the operations that wait, so that an end may go while one is pending.
struct Channel {
  Channel(const asio::any_io_executor& executor, std::size_t most) : capacity(most), changed(executor) {
    changed.expires_at(SteadyTime::max());
  }
  std::size_t capacity;
  std::vector<std::byte> bytes;
  bool ended = false;   ///< the writer has finished: what is buffered can still be read
  bool broken = false;  ///< the reader is gone
  asio::steady_timer changed;
};

class MemoryStream final : public ByteStream {
 public:
  MemoryStream(std::shared_ptr<Channel> in, std::shared_ptr<Channel> out)
      : in_(std::move(in)), out_(std::move(out)), closed_(std::make_shared<bool>(false)) {}
  ~MemoryStream() override { MemoryStream::close(); }
  MemoryStream(const MemoryStream&) = delete;
  MemoryStream& operator=(const MemoryStream&) = delete;

  Task<Result<std::size_t>> read_some(std::span<std::byte> into) override { return read(in_, closed_, into); }
  Task<Result<>> write_all(std::span<const std::byte> bytes) override { return write(out_, closed_, bytes); }

  Task<Result<>> shutdown() override {
    out_->ended = true;
    out_->changed.cancel();
    co_return Result<>{};
  }

  void close() noexcept override {
    *closed_ = true;
    out_->ended = true;
    in_->broken = true;
    out_->changed.cancel();
    in_->changed.cancel();
  }

  std::string peer() const override { return "memory"; }

 private:
  static Task<Result<std::size_t>> read(std::shared_ptr<Channel> channel, std::shared_ptr<bool> closed,
                                        std::span<std::byte> into) {
    for (;;) {
      const auto state = co_await asio::this_coro::cancellation_state;
      if (*closed || state.cancelled() != asio::cancellation_type::none) co_return cancelled_before("reading");
      if (!channel->bytes.empty()) break;
      if (channel->ended) co_return std::size_t{0};
      co_await channel->changed.async_wait(as_result);
    }
    const std::size_t size = std::min(into.size(), channel->bytes.size());
    std::memcpy(into.data(), channel->bytes.data(), size);
    channel->bytes.erase(channel->bytes.begin(), channel->bytes.begin() + static_cast<std::ptrdiff_t>(size));
    channel->changed.cancel();
    co_return size;
  }

  static Task<Result<>> write(std::shared_ptr<Channel> channel, std::shared_ptr<bool> closed,
                              std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto state = co_await asio::this_coro::cancellation_state;
      if (*closed || state.cancelled() != asio::cancellation_type::none) co_return cancelled_before("writing");
      if (channel->broken || channel->ended) co_return failure(ErrorKind::unavailable, "the other end is closed");
      const std::size_t size = std::min(bytes.size(), channel->capacity - channel->bytes.size());
      if (size == 0) {
        co_await channel->changed.async_wait(as_result);
        continue;
      }
      channel->bytes.insert(channel->bytes.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      bytes = bytes.subspan(size);
      channel->changed.cancel();
    }
    co_return Result<>{};
  }

  std::shared_ptr<Channel> in_;
  std::shared_ptr<Channel> out_;
  std::shared_ptr<bool> closed_;
};

}  // namespace

std::pair<StreamPtr, StreamPtr> make_memory_streams(const asio::any_io_executor& executor, std::size_t capacity) {
  const std::size_t most = std::max<std::size_t>(capacity, 1);
  auto forth = std::make_shared<Channel>(executor, most);
  auto back = std::make_shared<Channel>(executor, most);
  return {std::make_unique<MemoryStream>(back, forth), std::make_unique<MemoryStream>(forth, back)};
}

}  // namespace opi::aio
