#include "aio/blocking_pool.hpp"

#include <algorithm>

namespace opi::aio {

BlockingPool::BlockingPool(std::size_t threads)
    : places_(std::make_shared<std::atomic<std::size_t>>(std::max<std::size_t>(threads / 2, 1))),
      threads_(std::max<std::size_t>(threads, 1)) {}

BlockingPool::~BlockingPool() {
  threads_.stop();
  threads_.join();
}

std::optional<BlockingPool::Place> BlockingPool::take_place() noexcept {
  std::size_t free = places_->load();
  while (free > 0) {
    if (places_->compare_exchange_weak(free, free - 1)) return Place(places_);
  }
  return std::nullopt;
}

}  // namespace opi::aio
