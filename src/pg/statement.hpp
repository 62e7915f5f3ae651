#pragma once
/// @file
/// A statement's text and what is known of it, read once and shared by everybody who runs it.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "pg/statement_text.hpp"
#include "pg/types.hpp"

namespace opi::pg {

/// Made once (`static const Statement by_id("SELECT …")`), then run again and again on any connection, which prepares
/// it at its first use there. Cheap to copy; immutable, so safe from any thread.
class Statement {
 public:
  /// `results`: how the rows travel back.
  explicit Statement(std::string sql, Format results = Format::text);

  const std::string& sql() const noexcept { return text_->sql; }
  Format results() const noexcept { return results_; }
  const StatementEffects& effects() const noexcept { return text_->effects; }
  /// Proven to leave the session and its transaction as they are: it may share a connection with others' statements.
  bool multiplexable() const noexcept {
    return !effects().dirties_session && !effects().names_statements && !effects().copies &&
           !effects().controls_transaction;
  }
  std::size_t hash() const noexcept { return text_->hash; }
  /// No text of the server has a NUL byte.
  bool contains_nul() const noexcept { return text_->contains_nul; }
  /// The same text; results may travel differently.
  bool same_text(const Statement& other) const noexcept {
    return text_ == other.text_ || (text_->hash == other.text_->hash && text_->sql == other.text_->sql);
  }
  static std::size_t hash_of(std::string_view sql) noexcept { return std::hash<std::string_view>{}(sql); }

 private:
  struct Text {
    std::string sql;
    StatementEffects effects;
    std::size_t hash = 0;
    bool contains_nul = false;
  };
  std::shared_ptr<const Text> text_;
  Format results_;
};

}  // namespace opi::pg
