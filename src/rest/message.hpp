#pragma once
/// @file
/// Requests and responses of the HTTP client as plain values.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/secret_string.hpp"

namespace opi::rest {

/// `other` is what a server was sent and does not know; a client cannot send it.
enum class Method { get, head, post, put, patch, delete_, options, other };
std::string_view to_string(Method method) noexcept;

/// Names in lower case; a name may stand twice.
using Headers = std::vector<std::pair<std::string, std::string>>;

/// One request. Host, Content-Length and Connection are the client's business.
struct Request {
  Method method = Method::get;
  std::string target;  ///< path and query, percent-encoded, from "/" on
  Headers headers = {};
  /// Sent as "Authorization: …" and wiped with every buffer that held it; empty: none.
  SecretString authorization = {};
  /// May hold secrets: every copy that the client makes is wiped.
  std::string body = {};
  /// Whether it may be sent a second time when the connection it was sent on turned out to be gone before any answer:
  /// right for everything that ends in the same state when it is done twice.
  bool repeatable = true;
};

/// What the server answered. Everything in it is hostile until checked.
struct Response {
  int status = 0;
  Headers headers = {};
  std::string body = {};

  /// The first value of a header (name in lower case), or "".
  std::string_view header(std::string_view name) const noexcept;
};

}  // namespace opi::rest
