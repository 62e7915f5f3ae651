#include "pg/statement_cache.hpp"

#include <algorithm>
#include <utility>

namespace opi::pg {
namespace {

bool fits(const StatementCache::Entry& entry, const Params& params) noexcept {
  return std::ranges::equal(entry.types, params, [](std::uint32_t type, const Param& param) {
    return type == param.type() || (param.is_null() && param.type() == oid::unknown);
  });
}

}  // namespace

const StatementCache::Entry* StatementCache::find(const Statement& statement, const Params& params) {
  if (!entries_.empty() && entries_.front().statement.same_text(statement) && fits(entries_.front(), params)) {
    return &entries_.front();
  }
  const auto [first, last] = by_hash_.equal_range(statement.hash());
  for (auto found = first; found != last; ++found) {
    const auto entry = found->second;
    if (!entry->statement.same_text(statement) || !fits(*entry, params)) continue;
    entries_.splice(entries_.begin(), entries_, entry);
    return &*entry;
  }
  return nullptr;
}

Statement StatementCache::statement_of(std::string sql) const {
  const auto found = by_hash_.find(Statement::hash_of(sql));
  if (found != by_hash_.end() && found->second->statement.sql() == sql &&
      found->second->statement.results() == Format::text) {
    return found->second->statement;
  }
  return Statement(std::move(sql));
}

StatementCache::Entry StatementCache::make(Statement statement, const Params& params) {
  Entry entry{.statement = std::move(statement), .types = {}, .name = "opi_" + std::to_string(++named_)};
  for (const Param& param : params) entry.types.push_back(param.type());
  return entry;
}

const StatementCache::Entry* StatementCache::add(Entry entry) {
  const std::size_t hash = entry.statement.hash();
  entries_.push_front(std::move(entry));
  by_hash_.emplace(hash, entries_.begin());
  shrink_to(statements_max_);
  return entries_.empty() ? nullptr : &entries_.front();
}

StatementCache::Entry StatementCache::unlink(Entries::iterator entry) {
  const auto [first, last] = by_hash_.equal_range(entry->statement.hash());
  by_hash_.erase(std::find_if(first, last, [&](const auto& indexed) { return indexed.second == entry; }));
  Entry taken = std::move(*entry);
  entries_.erase(entry);
  return taken;
}

StatementCache::Entries::iterator StatementCache::find_name(std::string_view name) {
  return std::ranges::find(entries_, name, &Entry::name);
}

void StatementCache::remove(std::string_view name) {
  if (const auto found = find_name(name); found != entries_.end()) unlink(found);
}

void StatementCache::doom(std::string_view name) {
  if (const auto found = find_name(name); found != entries_.end()) doomed_.push_back(unlink(found).name);
}

void StatementCache::doom_all() {
  for (Entry& entry : entries_) doomed_.push_back(std::move(entry.name));
  by_hash_.clear();
  entries_.clear();
}

void StatementCache::clear() {
  by_hash_.clear();
  entries_.clear();
  doomed_.clear();
}

void StatementCache::limit(std::size_t statements_max) {
  statements_max_ = statements_max;
  shrink_to(statements_max_);
}

void StatementCache::make_room() {
  shrink_to(statements_max_ == 0 ? 0 : statements_max_ - 1);
}

void StatementCache::shrink_to(std::size_t statements_max) {
  while (entries_.size() > statements_max) doomed_.push_back(unlink(std::prev(entries_.end())).name);
}

std::vector<std::string> StatementCache::take_doomed() {
  return std::exchange(doomed_, {});
}

}  // namespace opi::pg
