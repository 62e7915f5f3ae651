#include "pg/value.hpp"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <charconv>
#include <stdexcept>

namespace opi::pg {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

int hex_value(char digit) noexcept {
  const std::size_t at = hex_digits.find(digit);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

/// Reads what array_out writes for one dimension without NULLs; false when it is anything else.
bool parse_array(std::string_view text, std::vector<std::string>& into) {
  if (text.starts_with('[')) {  // explicit lower bounds: [0:1]={…}
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) return false;
    text.remove_prefix(equals + 1);
  }
  if (text.size() < 2 || text.front() != '{' || text.back() != '}') return false;
  text = text.substr(1, text.size() - 2);
  into.clear();
  if (text.empty()) return true;
  std::size_t at = 0;
  for (;;) {
    std::string element;
    if (at < text.size() && text[at] == '"') {
      for (++at; at < text.size() && text[at] != '"'; ++at) {
        if (text[at] == '\\' && ++at == text.size()) return false;
        element += text[at];
      }
      if (at == text.size()) return false;
      ++at;
    } else {
      for (; at < text.size() && text[at] != ','; ++at) {
        if (text[at] == '{' || text[at] == '"') return false;
        element += text[at];
      }
      if (element.empty() || element == "NULL") return false;
    }
    into.push_back(std::move(element));
    if (at == text.size()) return true;
    if (text[at] != ',') return false;
    ++at;
  }
}

[[noreturn]] void mismatch(const pg_result* result, int column, std::string_view text, std::string_view type) {
  const char* name = PQfname(result, column);
  throw std::logic_error(fmt::format("column {} ({}) is not a {}: a value of {} bytes", column,
                                     name != nullptr ? name : "unnamed", type, text.size()));
}

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

namespace {

/// The text of a column that must be there and not NULL.
std::string_view required_text(const Row& row, const pg_result* result, int column, std::string_view type) {
  if (column < 0 || column >= PQnfields(result)) {
    throw std::logic_error(
        fmt::format("the result has {} columns; column {} was asked for", PQnfields(result), column));
  }
  if (row.is_null(column)) {
    throw std::logic_error(
        fmt::format("column {} ({}) is NULL; read it as std::optional of {}", column, PQfname(result, column), type));
  }
  return row.text(column);
}

}  // namespace

void Row::read(int column, std::string& into) const {
  into = required_text(*this, result_, column, "text");
}

void Row::read(int column, bool& into) const {
  const std::string_view value = required_text(*this, result_, column, "bool");
  if (value != "t" && value != "f") mismatch(result_, column, value, "bool");
  into = value == "t";
}

void Row::read(int column, int& into) const {
  const std::string_view value = required_text(*this, result_, column, "int");
  if (!parse_number(value, into)) mismatch(result_, column, value, "int");
}

void Row::read(int column, std::int64_t& into) const {
  const std::string_view value = required_text(*this, result_, column, "64-bit integer");
  if (!parse_number(value, into)) mismatch(result_, column, value, "64-bit integer");
}

void Row::read(int column, std::uint32_t& into) const {
  const std::string_view value = required_text(*this, result_, column, "32-bit unsigned integer");
  if (!parse_number(value, into)) mismatch(result_, column, value, "32-bit unsigned integer");
}

void Row::read(int column, double& into) const {
  const std::string_view value = required_text(*this, result_, column, "double");
  if (!parse_number(value, into)) mismatch(result_, column, value, "double");  // from_chars reads NaN and Infinity too
}

void Row::read(int column, std::vector<std::byte>& into) const {
  const std::string_view value = required_text(*this, result_, column, "bytea");
  if (!value.starts_with("\\x") || value.size() % 2 != 0) mismatch(result_, column, value, "bytea");
  into.clear();
  into.reserve(value.size() / 2 - 1);
  for (std::size_t at = 2; at < value.size(); at += 2) {
    const int high = hex_value(value[at]);
    const int low = hex_value(value[at + 1]);
    if (high < 0 || low < 0) mismatch(result_, column, value, "bytea");
    into.push_back(static_cast<std::byte>(high * 16 + low));
  }
}

void Row::read(int column, std::vector<std::string>& into) const {
  const std::string_view value = required_text(*this, result_, column, "text[]");
  if (!parse_array(value, into)) mismatch(result_, column, value, "text[]");
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
