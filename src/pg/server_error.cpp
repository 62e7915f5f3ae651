#include "pg/server_error.hpp"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <array>

#include "pg/sqlstate.hpp"

namespace opi::pg {
namespace {

std::string_view first_line(std::string_view text) {
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos) return {};
  text.remove_prefix(start);
  return text.substr(0, text.find('\n'));
}

/// libpq's lead-in, which says the address in its own words: `connection to server at "::1", port 5432 failed: `.
std::string_view without_lead_in(std::string_view line) {
  constexpr std::string_view marker = " failed: ";
  if (!line.starts_with("connection to server")) return line;
  const std::size_t at = line.find(marker);
  return at == std::string_view::npos ? line : line.substr(at + marker.size());
}

std::string_view field(const pg_result* result, int code) {
  const char* const value = PQresultErrorField(result, code);
  return value != nullptr ? value : "";
}

/// What libpq says of the network, in words of the C library or of its own.
std::string_view network_error(std::string_view text) {
  using Word = std::pair<std::string_view, std::string_view>;
  constexpr std::array words = {
      Word{"No route to host", "EHOSTUNREACH"},
      Word{"Network is unreachable", "ENETUNREACH"},
      Word{"Connection timed out", "ETIMEDOUT"},
      Word{"Connection reset by peer", "ECONNRESET"},
      Word{"server closed the connection unexpectedly", "ECONNRESET"},
      Word{"could not translate host name", "EAI_NONAME"},
      Word{"No such file or directory", "ENOENT"},  // a unix socket whose server is not there
  };
  const auto* const found = std::ranges::find_if(words, [text](const Word& word) { return text.contains(word.first); });
  return found != words.end() ? found->second : std::string_view();
}

bool is_sqlstate(std::string_view text) {
  return text.size() == 5 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); });
}

}  // namespace

VerboseMessage parse_verbose_message(std::string_view message) {
  // "SEVERITY:  28P01: text", where the severity is in the server's language; the last one is the attempt that counted.
  for (std::size_t at = message.rfind(":  "); at != std::string_view::npos;
       at = at == 0 ? at : message.rfind(":  ", at - 1)) {
    const std::string_view rest = message.substr(at + 3);
    if (rest.size() > 7 && is_sqlstate(rest.substr(0, 5)) && rest.substr(5, 2) == ": ") {
      return {.sqlstate = std::string(rest.substr(0, 5)), .text = std::string(first_line(rest.substr(7)))};
    }
    if (at == 0) break;
  }
  return {.sqlstate = {}, .text = std::string(without_lead_in(first_line(message)))};
}

Error error_of_result(const pg_result* result, std::string_view peer) {
  const std::string_view code = field(result, PG_DIAG_SQLSTATE);
  if (code.empty()) {
    const std::string_view text = first_line(result != nullptr ? PQresultErrorMessage(result) : "");
    return {ErrorKind::unavailable, fmt::format("connection to {} was lost: {}", peer, text)};
  }
  Error error(sqlstate::kind_of(code), std::string(field(result, PG_DIAG_MESSAGE_PRIMARY)));
  error.code = code;
  const bool again = code == sqlstate::serialization_failure || code == sqlstate::deadlock_detected ||
                     code == sqlstate::object_in_use || code == sqlstate::internal_error;
  if (again && field(result, PG_DIAG_SEVERITY_NONLOCALIZED) == "ERROR" &&
      (code != sqlstate::internal_error || error.message.contains("concurrently"))) {
    return std::move(error).handled_by(Handling::retry);
  }
  return error;
}

Error error_of_dial(const pg_conn* connection, std::string_view peer) {
  const char* const raw = connection != nullptr ? PQerrorMessage(connection) : "out of memory";
  VerboseMessage message = parse_verbose_message(raw);
  if (!message.sqlstate.empty()) {
    Error error(sqlstate::kind_of(message.sqlstate), fmt::format("{}: {}", peer, message.text));
    error.code = std::move(message.sqlstate);
    // Nobody needs to come: the server asks to be tried again. Where it is not full but one role or one database has
    // its limit, which the name of the function tells, that helps nobody else.
    if (error.code == sqlstate::too_many_connections) {
      const std::string_view text = raw;
      const bool limit = text.contains("InitializeSessionUserId") || text.contains("CheckMyDatabase");
      return std::move(error).handled_by(limit ? Handling::wait : Handling::retry);
    }
    return error;
  }
  if (message.text.contains("Connection refused")) {
    return Error(ErrorKind::unavailable, fmt::format("connection refused by {}", peer)).with_code("ECONNREFUSED");
  }
  return Error(ErrorKind::unavailable,
               fmt::format("{}: {}", peer, message.text.empty() ? "no connection" : message.text))
      .with_code(std::string(network_error(message.text)));
}

Error error_of_loss(const pg_conn* connection, std::string_view peer) {
  const std::string_view text = first_line(PQerrorMessage(connection));
  return {ErrorKind::unavailable,
          fmt::format("connection to {} was lost: {}", peer, text.empty() ? "closed by the server" : text)};
}

bool ends_session(const pg_result* result) {
  const std::string_view severity = field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  const std::string_view code = field(result, PG_DIAG_SQLSTATE);
  return severity == "FATAL" || severity == "PANIC" || (!code.empty() && sqlstate::ends_session(code));
}

bool says_plan_is_stale(const pg_result* result) {
  // The text is in the server's language, the name of its function is not.
  return field(result, PG_DIAG_SQLSTATE) == sqlstate::feature_not_supported &&
         field(result, PG_DIAG_SOURCE_FUNCTION) == "RevalidateCachedQuery";
}

}  // namespace opi::pg
