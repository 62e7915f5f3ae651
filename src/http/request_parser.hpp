#pragma once
/// @file
/// From bytes to one Request, sans I/O: the caller reads, this decides. The only place that knows Beast.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "http/message.hpp"

namespace opi::http {

/// Format: HTTP/1.0 and 1.1 (RFC 9112). Refused beyond what Beast refuses: both Transfer-Encoding and Content-Length,
/// any coding but exactly "chunked", several Content-Length or Host, 1.1 without Host, a target that is no path (`*`
/// with OPTIONS is one). Ownership: none of the input is kept but what was consumed. Not synchronised. Never throws on
/// input.
class RequestParser {
 public:
  enum class State {
    header,  ///< the headers are not complete
    body,    ///< they are, and a body is awaited
    done,    ///< take() has the request
    failed,  ///< status() and detail() say what to answer; the connection cannot go on
  };

  /// Limits in bytes: of the line and headers together, and of the decoded body.
  RequestParser(std::uint32_t header_bytes_max, std::uint64_t body_bytes_max);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  /// Consumes a prefix of `bytes` and says how long it was. What is left must be given again, with more behind it;
  /// after `done` it belongs to the next request. Stops after the headers, so that the caller can refuse before the
  /// body comes.
  std::size_t feed(std::string_view bytes);

  State state() const noexcept { return state_; }
  /// Something of a request came; line breaks before it do not count.
  bool begun() const noexcept;
  /// failed: 400, 413, 431, 501 or 505.
  int status() const noexcept { return status_; }
  const std::string& detail() const noexcept { return detail_; }

  /// From `body` on: method, target and headers are there.
  const Request& request() const noexcept { return request_; }
  /// done: the request with its body.
  Request take();

  /// From `body` on: the client waits for "100 Continue".
  bool expects_continue() const noexcept { return expects_continue_; }
  /// From `body` on: the client would go on with this connection.
  bool keep_alive() const noexcept { return keep_alive_; }

 private:
  struct Inner;
  void fail(int status, std::string detail);
  void check_header();
  void read_target();
  std::unique_ptr<Inner> inner_;
  State state_ = State::header;
  int status_ = 0;
  std::string detail_;
  Request request_;
  std::size_t header_bytes_max_;
  std::size_t blank_bytes_ = 0;
  bool expects_continue_ = false;
  bool keep_alive_ = false;
};

}  // namespace opi::http
