#pragma once
/// @file
/// Which statements a session has prepared, the least recently used one first to go.

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "pg/statement_text.hpp"

namespace opi::pg {

/// Text → name of the prepared statement. Names are never used twice. Pure bookkeeping; one thread at a time.
class StatementCache {
 public:
  static constexpr std::size_t statements_max = 128;

  struct Entry {
    std::string sql;
    std::string name;  ///< "opi_1", …
    StatementEffects effects;
  };

  /// The entry of this text, now the most recently used; null when it is not prepared. Valid until the next change.
  const Entry* find(std::string_view sql);
  /// A name for the next statement; add it once the server has it.
  std::string next_name();
  /// The least recently used entry leaves when there is no room for one more: deallocate it on the server first.
  std::optional<Entry> make_room();
  void add(Entry entry);
  void remove(std::string_view sql);
  void clear();
  std::size_t size() const noexcept { return entries_.size(); }

 private:
  std::list<Entry> entries_;  ///< most recently used first
  std::unordered_map<std::string_view, std::list<Entry>::iterator> by_text_;
  std::uint64_t named_ = 0;
};

}  // namespace opi::pg
