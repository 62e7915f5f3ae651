#pragma once
/// @file
/// Which statements a session has prepared, the least recently used one first to go.

#include <boost/container/small_vector.hpp>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pg/param.hpp"
#include "pg/statement.hpp"

namespace opi::pg {

/// Text and parameter types → name of the prepared statement. Names are never used twice, so that a statement which is
/// still under way can never be taken for another. Pure bookkeeping; one thread at a time.
class StatementCache {
 public:
  static constexpr std::size_t size_default = 128;

  struct Entry {
    Statement statement;
    boost::container::small_vector<std::uint32_t, 4> types;  ///< as it was prepared with
    std::string name;                                        ///< "opi_1", …
  };

  /// The entry for this text and these parameters' types (an untyped NULL goes with any), now the most recently used;
  /// null when it is not prepared. Valid until the entry is removed.
  const Entry* find(const Statement& statement, const Params& params);
  /// A statement with this text, shared when it is known.
  Statement statement_of(std::string sql) const;
  /// An entry with a new name that is in no list yet.
  Entry make(Statement statement, const Params& params);
  /// Dooms what must go so that one more fits.
  void make_room();
  /// Puts it in front; what does not fit is doomed.
  const Entry* add(Entry entry);
  /// Removes it and leaves it on the server.
  void remove(std::string_view name);
  /// Removes it, to be deallocated.
  void doom(std::string_view name);
  /// One that the server has and that is in no list.
  void doom_unlisted(std::string name) { doomed_.push_back(std::move(name)); }
  /// As `doom`, all of them.
  void doom_all();
  /// The server has none any more.
  void clear();
  /// 0 keeps none: each statement is doomed once it is added, and deallocated before the next.
  void limit(std::size_t statements_max);

  std::size_t size() const noexcept { return entries_.size(); }
  /// What is to be deallocated on the server before the next statement is prepared; none of it after `take_doomed`.
  const std::vector<std::string>& doomed() const noexcept { return doomed_; }
  std::vector<std::string> take_doomed();

 private:
  using Entries = std::list<Entry>;
  Entries::iterator find_name(std::string_view name);
  Entry unlink(Entries::iterator entry);
  void shrink_to(std::size_t statements_max);

  Entries entries_;  ///< most recently used first
  std::unordered_multimap<std::size_t, Entries::iterator> by_hash_;
  std::vector<std::string> doomed_;
  std::size_t statements_max_ = size_default;
  std::uint64_t named_ = 0;
};

}  // namespace opi::pg
