#include "pg/statement_cache.hpp"

namespace opi::pg {

const StatementCache::Entry* StatementCache::find(std::string_view sql) {
  const auto found = by_text_.find(sql);
  if (found == by_text_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return &*found->second;
}

std::string StatementCache::next_name() {
  return "opi_" + std::to_string(++named_);
}

std::optional<StatementCache::Entry> StatementCache::make_room() {
  if (entries_.size() < statements_max) return std::nullopt;
  Entry oldest = entries_.back();
  remove(oldest.sql);
  return oldest;
}

void StatementCache::add(Entry entry) {
  remove(entry.sql);
  entries_.push_front(std::move(entry));
  by_text_.emplace(entries_.front().sql, entries_.begin());
}

void StatementCache::remove(std::string_view sql) {
  const auto found = by_text_.find(sql);
  if (found == by_text_.end()) return;
  const auto entry = found->second;
  by_text_.erase(found);  // its key is a view of the entry's text
  entries_.erase(entry);
}

void StatementCache::clear() {
  by_text_.clear();
  entries_.clear();
}

}  // namespace opi::pg
