#pragma once
/// @file
/// One connection that is shared by the statements of DatabasePool::execute.

#include <optional>
#include <utility>
#include <vector>

#include "pg/carrier_choice.hpp"
#include "pg/database_pool.hpp"
#include "pg/execute_call.hpp"
#include "pg/pipeline.hpp"

namespace opi::pg {

class Carriers;

/// A connection that carries statements of many callers, and who waits for which answer. One thread.
struct Carrier {
  Carriers* owner = nullptr;
  Lease lease = {};
  PoolSlot* slot = nullptr;
  std::optional<Pipeline> pipeline = {};
  CarrierLoad load = {};
  std::vector<ExecuteCall*> seats = {};  ///< who waits for which answer; null: nobody any more
  std::vector<std::uint32_t> free_seats = {};
  std::uint32_t interested = 0;  ///< callers who still wait
  bool lost = false;
  bool given_up = false;
  SteadyTime give_up_at = SteadyTime::max();

  std::uint32_t take_seat(ExecuteCall* call) {
    ++interested;
    ++load.under_way;
    if (free_seats.empty()) {
      seats.push_back(call);
      return static_cast<std::uint32_t>(seats.size() - 1);
    }
    const std::uint32_t seat = free_seats.back();
    free_seats.pop_back();
    seats[seat] = call;
    return seat;
  }
  /// Who sat there, if anybody.
  ExecuteCall* free_seat(std::uint32_t seat) {
    ExecuteCall* const call = std::exchange(seats[seat], nullptr);
    free_seats.push_back(seat);
    --load.under_way;
    if (call != nullptr) --interested;
    return call;
  }
  bool idle() const noexcept { return load.under_way == 0; }
};

}  // namespace opi::pg
