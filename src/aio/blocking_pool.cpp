#include "aio/blocking_pool.hpp"

namespace opi::aio {

BlockingPool::BlockingPool(std::size_t threads) : threads_(threads == 0 ? 1 : threads) {}

BlockingPool::~BlockingPool() {
  threads_.stop();
  threads_.join();
}

}  // namespace opi::aio
