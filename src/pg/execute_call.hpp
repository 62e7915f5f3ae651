#pragma once
/// @file
/// One statement of one caller of DatabasePool::execute, on its way through the pool.

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <optional>
#include <source_location>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "pg/param.hpp"
#include "pg/resumption.hpp"
#include "pg/statement.hpp"
#include "pg/value.hpp"

namespace opi::pg {

struct Carrier;

/// One statement of one caller; lives in the caller's coroutine, which is suspended until the call is finished.
struct ExecuteCall : boost::intrusive::list_base_hook<> {
  enum class Stage : std::uint8_t { arriving, pending, sent, finished };
  ExecuteCall(Statement* what, Params* with, std::optional<SteadyTime> until, std::source_location from) noexcept
      : statement(what), params(with), deadline_of_caller(until), where(from) {}

  Statement* statement;
  Params* params;
  std::optional<SteadyTime> deadline_of_caller;
  std::source_location where;
  SteadyTime begun{};
  SteadyTime deadline{};
  Stage stage = Stage::arriving;
  bool at_home = false;
  std::uint32_t seat = 0;
  Carrier* carrier = nullptr;
  std::uint64_t number = 0;  ///< of those that came from another executor
  Resumption resumption = {};
  std::optional<Result<ResultSet>> result = {};
};

}  // namespace opi::pg
