#include "kube/api_error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <charconv>

namespace opi::kube {

namespace {

namespace json = boost::json;

constexpr std::size_t causes_max = 10;
constexpr std::size_t text_max = 500;

std::string_view text_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  const auto* text = value != nullptr ? value->if_string() : nullptr;
  return text != nullptr ? std::string_view(*text) : std::string_view();
}

/// The server's words are hostile until proven otherwise: one line, bounded.
std::string line_of(std::string_view text) {
  std::string line(text.substr(0, text_max));
  std::ranges::replace_if(line, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, ' ');
  if (text.size() > text_max) line += " …";
  return line;
}

ErrorKind kind_of(int status) noexcept {
  switch (status) {
    case 400:
    case 406:
    case 413:
    case 415:
    case 422: return ErrorKind::invalid;
    case 401:
    case 403: return ErrorKind::denied;
    case 404:
    case 405: return ErrorKind::not_found;
    case 409: return ErrorKind::conflict;
    case 410: return ErrorKind::closed;
    case 429: return ErrorKind::exhausted;
    default: return ErrorKind::unavailable;
  }
}

struct Status {
  std::string reason;
  std::string message;
  std::vector<std::string> causes;
  bool terminating = false;
};

Status read_status(const std::string& body) {
  Status status;
  boost::system::error_code error;
  const json::value value = json::parse(body, error);
  const auto* object = error ? nullptr : value.if_object();
  if (object == nullptr || text_of(*object, "kind") != "Status") return status;
  status.reason = line_of(text_of(*object, "reason"));
  status.message = line_of(text_of(*object, "message"));
  const auto* details = object->if_contains("details");
  const auto* causes =
      details != nullptr && details->is_object() ? details->get_object().if_contains("causes") : nullptr;
  if (causes == nullptr || !causes->is_array()) return status;
  for (const auto& entry : causes->get_array()) {
    if (!entry.is_object()) continue;
    const auto& cause = entry.get_object();
    status.terminating = status.terminating || text_of(cause, "reason") == "NamespaceTerminating";
    if (status.causes.size() == causes_max) continue;
    const auto field = line_of(text_of(cause, "field"));
    const auto message = line_of(text_of(cause, "message"));
    status.causes.push_back(field.empty() ? message : fmt::format("{}: {}", field, message));
  }
  return status;
}

}  // namespace

Error error_of(const rest::Response& response) {
  const Status status = read_status(response.body);
  std::string message = fmt::format("the API server answers {}", response.status);
  if (!status.reason.empty()) message += " " + status.reason;
  if (!status.message.empty()) message += ": " + status.message;
  Error error(kind_of(response.status), std::move(message));
  error.code = std::to_string(response.status);
  error.causes = status.causes;
  if (response.status == 403 && status.terminating) {
    error.kind = ErrorKind::unavailable;
    return std::move(error).handled_by(Handling::wait);
  }
  if (response.status == 401) return std::move(error).with_remedy("check the credentials of cluster.kubernetes");
  if (response.status == 403)
    return std::move(error).with_remedy("grant the rights that deploy/kubernetes/rbac.yaml names");
  if (response.status == 429 || response.status >= 500) return std::move(error).handled_by(Handling::retry);
  if (response.status == 409) return std::move(error).handled_by(Handling::needs_person);
  return error;
}

bool has_status(const Error& error, int status) noexcept {
  int value = 0;
  const char* end = error.code.data() + error.code.size();
  const auto [last, problem] = std::from_chars(error.code.data(), end, value);
  return problem == std::errc() && last == end && value == status;
}

std::optional<std::chrono::seconds> retry_after(const rest::Response& response) noexcept {
  constexpr std::int64_t seconds_max = 600;
  const std::string_view text = response.header("retry-after");
  std::int64_t seconds = 0;
  const auto [last, problem] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (text.empty() || problem != std::errc() || last != text.data() + text.size() || seconds < 0) return std::nullopt;
  return std::chrono::seconds(std::min(seconds, seconds_max));
}

}  // namespace opi::kube
