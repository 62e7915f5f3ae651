#pragma once
/// @file
/// Parameters in the form that libpq takes them.

#include <boost/container/small_vector.hpp>

#include "pg/param.hpp"

namespace opi::pg {

/// The arrays of PQsendQueryPrepared and its like; borrows the parameters. Up to eight need no allocation.
class BoundParams {
 public:
  explicit BoundParams(const Params& params) {
    const std::size_t count = params.size();
    values_.reserve(count);
    lengths_.reserve(count);
    formats_.reserve(count);
    types_.reserve(count);
    for (const Param& param : params) {
      values_.push_back(param.data());
      lengths_.push_back(static_cast<int>(param.size()));
      formats_.push_back(static_cast<int>(param.format()));
      types_.push_back(param.type());
    }
  }

  int size() const noexcept { return static_cast<int>(values_.size()); }
  const char* const* values() const noexcept { return values_.data(); }
  const int* lengths() const noexcept { return lengths_.data(); }
  const int* formats() const noexcept { return formats_.data(); }
  const std::uint32_t* types() const noexcept { return types_.data(); }

 private:
  template <class T>
  using Array = boost::container::small_vector<T, 8>;
  Array<const char*> values_;
  Array<int> lengths_;
  Array<int> formats_;
  Array<std::uint32_t> types_;
};

}  // namespace opi::pg
