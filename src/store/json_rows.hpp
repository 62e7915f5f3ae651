#pragma once
/// @file
/// Many rows as one parameter: a JSON array of objects for json_to_recordset, so that a batch is one statement.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "pg/value.hpp"

namespace opi::store {

using JsonRow = boost::json::object;
using JsonRows = boost::json::array;

/// The batch as a parameter, to be cast with ::json.
inline pg::Param rows_param(const JsonRows& rows) {
  return boost::json::serialize(rows);
}

/// `text` as the server can keep it: NUL bytes and what is not UTF-8 become '?', and it ends after at most `bytes_max`
/// bytes, between two characters.
std::string storable(std::string_view text, std::size_t bytes_max);

}  // namespace opi::store
