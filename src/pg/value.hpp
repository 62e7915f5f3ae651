#pragma once
/// @file
/// Results that come back from the server.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pg/field.hpp"
#include "pg/param.hpp"

namespace opi::pg {

class ResultSet;

/// One row of a result; valid while its ResultSet lives.
class Row {
 public:
  bool is_null(int column) const noexcept;
  /// The column's bytes as they came, which is text unless binary results were asked for; "" for NULL.
  std::string_view text(int column) const noexcept;
  /// The column as T, whichever way it travelled: bool, any integer, float, double, std::string, std::string_view
  /// (while the ResultSet lives), std::vector<std::byte> (bytea), Numeric, Timestamp, Date, Uuid, Json, a std::vector
  /// of these or of std::optional of these (an array of one dimension), or std::optional of any. Throws
  /// std::logic_error that names column and type when the value is no T or a NULL has nowhere to go: the statement and
  /// the caller disagree, which is a defect.
  template <class T>
  T get(int column) const;
  /// By column name; throws std::logic_error for an unknown one.
  template <class T>
  T get(std::string_view column) const;
  int column_index(std::string_view name) const;

 private:
  friend class ResultSet;
  Row(const pg_result* result, int row) noexcept : result_(result), row_(row) {}
  Field field(int column, bool may_be_null) const;
  const pg_result* result_;
  int row_;
};

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

template <class T>
T Row::get(int column) const {
  if constexpr (is_optional<T>) {
    if (is_null(column)) {
      (void)field(column, true);  // it is a column
      return std::nullopt;
    }
    return get<typename T::value_type>(column);
  } else {
    T value{};
    decode(field(column, false), value);
    return value;
  }
}

template <class T>
T Row::get(std::string_view column) const {
  return get<T>(column_index(column));
}

/// The whole result of one statement. Move-only; owns libpq's buffer. Not synchronised.
class ResultSet {
 public:
  ResultSet() = default;
  explicit ResultSet(pg_result* result) noexcept : result_(result) {}

  /// libpq's, for what it knows beyond this class; null when there is none.
  const pg_result* native() const noexcept { return result_.get(); }
  int size() const noexcept;
  bool empty() const noexcept { return size() == 0; }
  int columns() const noexcept;
  std::string_view column_name(int column) const noexcept;
  Row operator[](int row) const noexcept { return {result_.get(), row}; }
  /// Rows touched by INSERT, UPDATE, DELETE; 0 otherwise.
  std::int64_t affected() const noexcept;
  /// "SELECT 3", "CREATE ROLE".
  std::string_view command_tag() const noexcept;

  class Iterator {
   public:
    Iterator(const ResultSet* set, int row) noexcept : set_(set), row_(row) {}
    Row operator*() const noexcept { return (*set_)[row_]; }
    Iterator& operator++() noexcept {
      ++row_;
      return *this;
    }
    bool operator==(const Iterator&) const noexcept = default;

   private:
    const ResultSet* set_;
    int row_;
  };
  Iterator begin() const noexcept { return {this, 0}; }
  Iterator end() const noexcept { return {this, size()}; }

 private:
  struct Clear {
    void operator()(pg_result* result) const noexcept;
  };
  std::unique_ptr<pg_result, Clear> result_;
};

}  // namespace opi::pg
