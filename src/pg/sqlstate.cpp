#include "pg/sqlstate.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace opi::pg::sqlstate {
namespace {

using Rule = std::pair<std::string_view, ErrorKind>;

// Whole codes first, then classes (the first two characters); appendix A of the PostgreSQL manual.
constexpr std::array codes = {
    Rule{insufficient_privilege, ErrorKind::denied},
    Rule{undefined_object, ErrorKind::not_found},
    Rule{undefined_table, ErrorKind::not_found},
    Rule{"42703", ErrorKind::not_found},  // undefined_column
    Rule{"42883", ErrorKind::not_found},  // undefined_function
    Rule{duplicate_database, ErrorKind::conflict},
    Rule{duplicate_schema, ErrorKind::conflict},
    Rule{duplicate_object, ErrorKind::conflict},
    Rule{"42P07", ErrorKind::conflict},  // duplicate_table
    Rule{"42723", ErrorKind::conflict},  // duplicate_function
    Rule{"42701", ErrorKind::conflict},  // duplicate_column
    Rule{read_only_sql_transaction, ErrorKind::unavailable},
    Rule{lock_not_available, ErrorKind::timed_out},
    Rule{query_canceled, ErrorKind::timed_out},  // statement_timeout, or somebody's cancel request
    Rule{"57P04", ErrorKind::not_found},         // database_dropped
    Rule{"25P03", ErrorKind::timed_out},         // idle_in_transaction_session_timeout
};

constexpr std::array classes = {
    Rule{"08", ErrorKind::unavailable}, Rule{"0A", ErrorKind::unsupported}, Rule{"22", ErrorKind::invalid},
    Rule{"23", ErrorKind::conflict},    Rule{"28", ErrorKind::denied},      Rule{"2B", ErrorKind::conflict},
    Rule{"3D", ErrorKind::not_found},   Rule{"3F", ErrorKind::not_found},   Rule{"40", ErrorKind::conflict},
    Rule{"42", ErrorKind::invalid},     Rule{"53", ErrorKind::exhausted},   Rule{"54", ErrorKind::exhausted},
    Rule{"55", ErrorKind::conflict},    Rule{"57", ErrorKind::unavailable},
};

}  // namespace

ErrorKind kind_of(std::string_view sqlstate) noexcept {
  const auto* const code = std::ranges::find(codes, sqlstate, &Rule::first);
  if (code != codes.end()) return code->second;
  const auto* const family = std::ranges::find(classes, sqlstate.substr(0, 2), &Rule::first);
  return family != classes.end() ? family->second : ErrorKind::internal;
}

bool ends_session(std::string_view sqlstate) noexcept {
  // 57P01 to 57P05: the server ends, starts, dropped the database or the session idled too long; 25P03: idle in
  // transaction.
  return sqlstate.starts_with("08") || sqlstate.starts_with("57P") || sqlstate == "25P03";
}

}  // namespace opi::pg::sqlstate
