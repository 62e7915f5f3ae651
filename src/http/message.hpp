#pragma once
/// @file
/// Requests and responses as plain values; nothing of the wire but what a handler may want to see.

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rest/message.hpp"

namespace opi::http {

using rest::Headers;  ///< in the order received
using rest::Method;
using rest::to_string;

/// Who is at the other end of the connection.
struct Peer {
  std::string address;    ///< "127.0.0.1:40312", for logs
  bool loopback = false;  ///< connected from this machine
};

/// From ByteStream::peer(): loopback for 127.0.0.0/8 and ::1, mapped addresses included, and for unix sockets.
Peer peer_of(std::string address);

/// One request, complete. Everything in it is hostile until checked.
struct Request {
  Method method = Method::other;
  std::string target;                                           ///< as received
  std::string path;                                             ///< without the query, still percent-encoded
  std::vector<std::pair<std::string, std::string>> query;       ///< decoded, in order
  std::vector<std::pair<std::string, std::string>> parameters;  ///< of the route's pattern, decoded
  Headers headers;
  std::string body;
  Peer peer;

  /// The first value of a header (name in lower case), or "".
  std::string_view header(std::string_view name) const noexcept;
  /// The value of a `{name}` of the pattern, or "".
  std::string_view parameter(std::string_view name) const noexcept;
};

/// What a handler answers. Length, date, connection and security headers are the server's business.
struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  Headers headers = {};
};

/// "Not Found".
std::string_view reason(int status) noexcept;

/// application/json, with a line break at the end.
Response json_response(const boost::json::value& value, int status = 200);

/// application/problem+json (RFC 9457) with the status, its reason as title, and `detail` for people. Never a secret.
Response problem(int status, std::string_view detail);

}  // namespace opi::http
