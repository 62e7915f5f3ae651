#pragma once
/// @file
/// Parameters that go to the server and results that come back.

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "pg/param.hpp"

struct pg_result;  // libpq's PGresult

namespace opi::pg {

class ResultSet;

/// One row of a result; valid while its ResultSet lives.
class Row {
 public:
  bool is_null(int column) const noexcept;
  /// The column as text; "" for NULL.
  std::string_view text(int column) const noexcept;
  /// The column as T: std::string, bool, int, std::int64_t, std::uint32_t, double, std::vector<std::byte> (bytea),
  /// std::vector<std::string> (text[]), or std::optional of these. Throws std::logic_error when the text is not a T or
  /// a NULL has nowhere to go: the statement and the caller disagree, which is a defect.
  template <class T>
  T get(int column) const;
  /// By column name; throws std::logic_error for an unknown one.
  template <class T>
  T get(std::string_view column) const;
  int column_index(std::string_view name) const;

 private:
  friend class ResultSet;
  Row(const pg_result* result, int row) noexcept : result_(result), row_(row) {}
  void read(int column, std::string& into) const;
  void read(int column, bool& into) const;
  void read(int column, int& into) const;
  void read(int column, std::int64_t& into) const;
  void read(int column, std::uint32_t& into) const;
  void read(int column, double& into) const;
  void read(int column, std::vector<std::byte>& into) const;
  void read(int column, std::vector<std::string>& into) const;
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
    if (is_null(column)) return std::nullopt;
    return get<typename T::value_type>(column);
  } else {
    T value{};
    read(column, value);
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
