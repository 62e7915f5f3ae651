#pragma once
/// @file
/// HTTP/1.1 (RFC 9112) as bytes, sans I/O: requests to bytes, bytes to one response. The only place of this room that
/// knows Beast.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "rest/message.hpp"

namespace opi::rest {

/// The bytes of `request` to `host` (as the Host header has it, with the port where it is not the scheme's own). The
/// result holds the request's secrets: wipe it. ErrorKind::invalid for a target or header that would break out of its
/// line.
Result<std::string> to_bytes(const Request& request, std::string_view host);

/// One response from its first byte to its last; interim ones (1xx) are passed over. Not synchronised. Never throws on
/// input.
class ResponseParser {
 public:
  enum class State {
    header,  ///< the headers are not complete
    body,    ///< they are: `head` has status and headers, `take_body` what came
    done,    ///< the body is complete
    failed,  ///< `error` says why; the connection cannot go on
  };

  /// `body_bytes_max` is of what `take_body` has not taken. `to_head`: the answer to HEAD has no body.
  ResponseParser(bool to_head, std::uint32_t header_bytes_max, std::uint64_t body_bytes_max);
  ~ResponseParser();
  ResponseParser(ResponseParser&&) noexcept;
  ResponseParser& operator=(ResponseParser&&) noexcept;
  ResponseParser(const ResponseParser&) = delete;
  ResponseParser& operator=(const ResponseParser&) = delete;

  /// Consumes a prefix of `bytes` and says how long it was. What is left must be given again, with more behind it.
  std::size_t feed(std::string_view bytes);
  /// The stream ended. A body without a length is complete then; anything else failed.
  void feed_end();

  State state() const noexcept;
  /// Something of the response came.
  bool begun() const noexcept;
  Error error() const;
  /// From `body` on, without the body.
  const Response& head() const noexcept;
  /// What has come of the decoded body since it was last asked.
  std::string take_body();
  /// done: the connection may carry another request.
  bool keep_alive() const noexcept;

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace opi::rest
