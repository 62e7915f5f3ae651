#include "pg/value.hpp"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <charconv>
#include <stdexcept>

namespace opi::pg {
namespace {

template <class Number>
bool parse_number(std::string_view text, Number& into) {
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, into);
  return error == std::errc{} && stopped == end;
}

}  // namespace

bool Row::is_null(int column) const noexcept {
  return PQgetisnull(result_, row_, column) != 0;
}

std::string_view Row::text(int column) const noexcept {
  const char* const value = PQgetvalue(result_, row_, column);
  if (value == nullptr) return {};
  return {value, static_cast<std::size_t>(PQgetlength(result_, row_, column))};
}

int Row::column_index(std::string_view name) const {
  const int columns = PQnfields(result_);
  for (int column = 0; column < columns; ++column) {
    if (name == PQfname(result_, column)) return column;
  }
  throw std::logic_error(fmt::format("the result has no column \"{}\"", name));
}

Field Row::field(int column, bool may_be_null) const {
  const int columns = PQnfields(result_);
  if (column < 0 || column >= columns) {
    throw std::logic_error(fmt::format("the result has {} columns; column {} was asked for", columns, column));
  }
  if (!may_be_null && is_null(column)) {
    throw std::logic_error(
        fmt::format("column {} ({}) is NULL; read it as std::optional", column, PQfname(result_, column)));
  }
  return {.bytes = text(column),
          .type = PQftype(result_, column),
          .format = PQfformat(result_, column) == 0 ? Format::text : Format::binary,
          .result = result_,
          .column = column};
}

int ResultSet::size() const noexcept {
  return result_ ? PQntuples(result_.get()) : 0;
}
int ResultSet::columns() const noexcept {
  return result_ ? PQnfields(result_.get()) : 0;
}

std::string_view ResultSet::column_name(int column) const noexcept {
  const char* const name = result_ ? PQfname(result_.get(), column) : nullptr;
  return name != nullptr ? name : "";
}

std::int64_t ResultSet::affected() const noexcept {
  const std::string_view tag = command_tag();
  if (!tag.starts_with("INSERT") && !tag.starts_with("UPDATE") && !tag.starts_with("DELETE") &&
      !tag.starts_with("MERGE")) {
    return 0;
  }
  std::int64_t rows = 0;
  parse_number(std::string_view(PQcmdTuples(result_.get())), rows);
  return rows;
}

std::string_view ResultSet::command_tag() const noexcept {
  return result_ ? PQcmdStatus(result_.get()) : "";
}

void ResultSet::Clear::operator()(pg_result* result) const noexcept {
  PQclear(result);
}

}  // namespace opi::pg
