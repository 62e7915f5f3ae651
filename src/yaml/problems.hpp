#pragma once
/// @file
/// What is wrong with one file: errors in the order of their places, in a bounded amount of memory.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "yaml/node.hpp"

namespace opi::yaml {

/// Collects errors and gives the first `errors_max` of them in the order of their places; when there were more, one
/// further error says how many. Memory is bounded by `errors_max`. Not synchronised.
class Problems {
 public:
  explicit Problems(std::size_t errors_max = 100);

  void add(Error error);
  /// kind `invalid`, "path: what" at the node's place; the path is left out when empty.
  void add(const Node& node, std::string_view path, std::string_view what);

  bool empty() const noexcept { return count_ == 0; }
  /// Of all that were added.
  std::size_t count() const noexcept { return count_; }
  /// Sorted by line and column, then by the order of adding. Leaves this empty.
  std::vector<Error> take();

 private:
  struct Item {
    Error error;
    std::size_t order = 0;
  };
  void keep_first();
  std::vector<Item> items_;
  std::size_t errors_max_;
  std::size_t count_ = 0;
};

/// "path.key" or "key"; "path[3]". A key that is no plain name stands in quotes and is cut, see shown().
std::string field_path(std::string_view path, std::string_view key);
std::string item_path(std::string_view path, std::size_t index);

/// A value in double quotes for a message: control characters escaped, cut after 40 code points. Never call it on a
/// secret. The bytes need not be UTF-8: others show as \xNN.
std::string shown(std::string_view value);

/// "path.key: unknown field", with the nearest of `known`; at the key's place. Says what to do about `<<`.
void add_unknown_field(Problems& problems, const Node& key, std::string_view path, std::span<const std::string> known);

}  // namespace opi::yaml
