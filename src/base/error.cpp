#include "base/error.hpp"

#include <cstring>
#include <utility>

namespace opi {

Handling Error::handling() const noexcept {
  if (handling_set_) return handling_override_;
  switch (kind) {
    case ErrorKind::unavailable:
    case ErrorKind::timed_out:
    case ErrorKind::exhausted: return Handling::retry;
    case ErrorKind::cancelled:
    case ErrorKind::closed: return Handling::wait;
    case ErrorKind::invalid:
    case ErrorKind::not_found:
    case ErrorKind::conflict:
    case ErrorKind::denied:
    case ErrorKind::unsupported:
    case ErrorKind::internal: return Handling::needs_person;
  }
  return Handling::needs_person;
}

Error&& Error::while_doing(std::string what) && {
  causes.insert(causes.begin(), std::move(message));
  message = std::move(what);
  return std::move(*this);
}

Error&& Error::at(Place where) && {
  place = std::move(where);
  return std::move(*this);
}

Error&& Error::with_code(std::string sqlstate_or_errno) && {
  code = std::move(sqlstate_or_errno);
  return std::move(*this);
}

Error&& Error::with_remedy(std::string what_to_do) && {
  remedy = std::move(what_to_do);
  return std::move(*this);
}

Error&& Error::because(std::string cause) && {
  causes.push_back(std::move(cause));
  return std::move(*this);
}

Error&& Error::handled_by(Handling how) && {
  handling_set_ = true;
  handling_override_ = how;
  return std::move(*this);
}

std::string Error::to_string() const {
  std::string text;
  if (place.known()) text = place.to_string() + ": ";
  text += message;
  for (const auto& cause : causes) {
    text += ": ";
    text += cause;
  }
  if (!code.empty()) {
    text += " [";
    text += code;
    text += ']';
  }
  if (!remedy.empty()) {
    text += "; ";
    text += remedy;
  }
  return text;
}

std::string_view to_string(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::invalid: return "invalid";
    case ErrorKind::not_found: return "not found";
    case ErrorKind::conflict: return "conflict";
    case ErrorKind::denied: return "denied";
    case ErrorKind::unavailable: return "unavailable";
    case ErrorKind::exhausted: return "exhausted";
    case ErrorKind::timed_out: return "timed out";
    case ErrorKind::cancelled: return "cancelled";
    case ErrorKind::closed: return "closed";
    case ErrorKind::unsupported: return "unsupported";
    case ErrorKind::internal: return "internal";
  }
  return "internal";
}

std::string_view to_string(Handling handling) noexcept {
  switch (handling) {
    case Handling::retry: return "retry";
    case Handling::wait: return "wait";
    case Handling::needs_person: return "needs person";
  }
  return "needs person";
}

Error system_error(ErrorKind kind, std::string what, int errno_value) {
  Error error{kind, std::move(what)};
  if (const char* name = strerrorname_np(errno_value)) error.code = name;
  if (const char* text = strerrordesc_np(errno_value)) error.causes.emplace_back(text);
  return error;
}

}  // namespace opi
