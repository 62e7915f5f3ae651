#include "http/message.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace opi::http {

Peer peer_of(std::string address) {
  bool loopback = address == "unix";
  for (const std::string_view start : {"127.", "[::1]:", "[::ffff:127."}) {
    loopback = loopback || address.starts_with(start);
  }
  return {.address = std::move(address), .loopback = loopback};
}

std::string_view Request::header(std::string_view name) const noexcept {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

std::string_view Request::parameter(std::string_view name) const noexcept {
  for (const auto& [key, value] : parameters) {
    if (key == name) return value;
  }
  return {};
}

std::string_view reason(int status) noexcept {
  switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Unknown";
  }
}

Response json_response(const boost::json::value& value, int status) {
  return {.status = status, .content_type = "application/json", .body = boost::json::serialize(value) + "\n"};
}

Response problem(int status, std::string_view detail) {
  const boost::json::object body{
      {"type", "about:blank"}, {"title", reason(status)}, {"status", status}, {"detail", detail}};
  Response response = json_response(body, status);
  response.content_type = "application/problem+json";
  return response;
}

}  // namespace opi::http
