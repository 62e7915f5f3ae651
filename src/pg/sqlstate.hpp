#pragma once
/// @file
/// The SQLSTATEs that the house has rules for, and what kind of failure each is.

#include <string_view>

#include "base/error.hpp"

namespace opi::pg::sqlstate {

inline constexpr std::string_view warning_privilege_not_granted = "01007";
inline constexpr std::string_view warning_privilege_not_revoked = "01006";
inline constexpr std::string_view connection_exception = "08000";
inline constexpr std::string_view connection_failure = "08006";
inline constexpr std::string_view transaction_resolution_unknown = "08007";
inline constexpr std::string_view feature_not_supported = "0A000";
inline constexpr std::string_view unique_violation = "23505";
inline constexpr std::string_view active_sql_transaction = "25001";
inline constexpr std::string_view read_only_sql_transaction = "25006";
inline constexpr std::string_view invalid_statement_name = "26000";
inline constexpr std::string_view invalid_authorization = "28000";
inline constexpr std::string_view invalid_password = "28P01";
inline constexpr std::string_view dependent_objects = "2BP01";
inline constexpr std::string_view invalid_catalog_name = "3D000";
inline constexpr std::string_view serialization_failure = "40001";
inline constexpr std::string_view deadlock_detected = "40P01";
inline constexpr std::string_view insufficient_privilege = "42501";
inline constexpr std::string_view undefined_object = "42704";
inline constexpr std::string_view undefined_table = "42P01";
inline constexpr std::string_view duplicate_database = "42P04";
inline constexpr std::string_view duplicate_schema = "42P06";
inline constexpr std::string_view duplicate_object = "42710";
inline constexpr std::string_view too_many_connections = "53300";
inline constexpr std::string_view object_in_use = "55006";
inline constexpr std::string_view lock_not_available = "55P03";
inline constexpr std::string_view query_canceled = "57014";
inline constexpr std::string_view admin_shutdown = "57P01";
inline constexpr std::string_view crash_shutdown = "57P02";
inline constexpr std::string_view cannot_connect_now = "57P03";
inline constexpr std::string_view internal_error = "XX000";

/// The kind of failure a server's SQLSTATE stands for.
ErrorKind kind_of(std::string_view sqlstate) noexcept;

/// True when the session that reported it is gone or must not be used again.
bool ends_session(std::string_view sqlstate) noexcept;

}  // namespace opi::pg::sqlstate
