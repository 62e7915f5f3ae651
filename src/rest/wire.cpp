#include "rest/wire.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <utility>

namespace opi::rest {

namespace beast = boost::beast::http;

namespace {

bool breaks_line(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

bool has_body(const Request& request) {
  return !request.body.empty() || request.method == Method::post || request.method == Method::put ||
         request.method == Method::patch;
}

std::string lower(std::string_view text) {
  std::string result{text};
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

}  // namespace

Result<std::string> to_bytes(const Request& request, std::string_view host) {
  const auto spoils = [](char c) { return c <= ' ' || c == '\x7f'; };
  if (!request.target.starts_with('/') || std::ranges::any_of(request.target, spoils))
    return failure(ErrorKind::invalid, "the target of a request is not a path");
  if (request.method == Method::other) return failure(ErrorKind::invalid, "a request without a method");
  std::string bytes;
  // One buffer of the final size: a growing one would leave copies of the secrets behind.
  std::size_t size = request.target.size() + host.size() + request.authorization.size() + request.body.size() + 256;
  for (const auto& [name, value] : request.headers) size += name.size() + value.size() + 4;
  bytes.reserve(size);
  bytes += to_string(request.method);
  bytes += ' ';
  bytes += request.target;
  bytes += " HTTP/1.1\r\nhost: ";
  bytes += host;
  bytes += "\r\n";
  for (const auto& [name, value] : request.headers) {
    if (name.empty() || breaks_line(name) || name.contains(':') || breaks_line(value)) {
      wipe(bytes);
      return failure(ErrorKind::invalid, "a header of a request does not fit into one line");
    }
    bytes += name;
    bytes += ": ";
    bytes += value;
    bytes += "\r\n";
  }
  if (!request.authorization.empty()) {
    if (breaks_line(request.authorization.reveal())) {
      wipe(bytes);
      return failure(ErrorKind::invalid, "the credentials of a request do not fit into one line");
    }
    bytes += "authorization: ";
    bytes += request.authorization.reveal();
    bytes += "\r\n";
  }
  if (has_body(request)) bytes += fmt::format("content-length: {}\r\n", request.body.size());
  bytes += "\r\n";
  bytes += request.body;
  return bytes;
}

struct ResponseParser::Inner {
  Inner(bool head, std::uint32_t header_max, std::uint64_t body_max)
      : to_head(head), header_bytes_max(header_max), body_bytes_max(body_max) {
    restart();
  }

  void restart() {
    parser.emplace();
    parser->header_limit(header_bytes_max);
    // The limit is of what is held, not of what ever came: a watch goes on for hours.
    parser->body_limit(boost::none);
    parser->eager(false);
    if (to_head) parser->skip(true);
  }

  void fail(ErrorKind kind, std::string why) {
    state = State::failed;
    error = Error(kind, std::move(why));
  }

  void take_head() {
    const auto& message = parser->get();
    head.status = static_cast<int>(message.result_int());
    head.headers.clear();
    int lengths = 0;
    int encodings = 0;
    for (const auto& field : message) {
      lengths += field.name() == beast::field::content_length ? 1 : 0;
      encodings += field.name() == beast::field::transfer_encoding ? 1 : 0;
      head.headers.emplace_back(lower({field.name_string().data(), field.name_string().size()}),
                                std::string(field.value().data(), field.value().size()));
    }
    // Two opinions on where the body ends.
    if (lengths + encodings > 1) return fail(ErrorKind::internal, "the response has more than one length");
    if (encodings == 1 && lower(head.header("transfer-encoding")) != "chunked")
      return fail(ErrorKind::unsupported, "the response has a transfer coding other than chunked");
    state = State::body;
  }

  void after_progress() {
    if (state == State::header && parser->is_header_done()) {
      const auto status = parser->get().result_int();
      if (status >= 100 && status < 200) {
        interim = true;
        return;
      }
      take_head();
    }
    if (state == State::body && parser->is_done()) {
      keep_alive = parser->keep_alive();
      state = State::done;
    }
  }

  const bool to_head;
  const std::uint32_t header_bytes_max;
  const std::uint64_t body_bytes_max;
  std::optional<beast::response_parser<beast::string_body>> parser;
  State state = State::header;
  Response head;
  Error error;
  bool keep_alive = false;
  bool interim = false;
  int interims = 0;
};

ResponseParser::ResponseParser(bool to_head, std::uint32_t header_bytes_max, std::uint64_t body_bytes_max)
    : inner_(std::make_unique<Inner>(to_head, header_bytes_max, body_bytes_max)) {}
ResponseParser::~ResponseParser() = default;
ResponseParser::ResponseParser(ResponseParser&&) noexcept = default;
ResponseParser& ResponseParser::operator=(ResponseParser&&) noexcept = default;

std::size_t ResponseParser::feed(std::string_view bytes) {
  constexpr int interims_max = 16;
  std::size_t consumed = 0;
  int idle_rounds = 0;
  Inner& self = *inner_;
  while ((self.state == State::header || self.state == State::body) && consumed < bytes.size()) {
    boost::system::error_code error;
    const std::string_view rest = bytes.substr(consumed);
    const std::size_t used = self.parser->put(boost::asio::buffer(rest.data(), rest.size()), error);
    consumed += used;
    if (error == beast::error::need_more) {
      if (used == 0 && rest.size() > self.header_bytes_max)
        self.fail(ErrorKind::internal, "a line of the response is too long");
      break;
    }
    if (error == beast::error::header_limit) {
      self.fail(ErrorKind::exhausted, "the headers of the response are too long");
      break;
    }
    if (error) {
      self.fail(ErrorKind::internal, "not an HTTP response: " + error.message());
      break;
    }
    self.after_progress();
    if (self.interim) {
      self.interim = false;
      if (++self.interims > interims_max) self.fail(ErrorKind::internal, "too many interim responses");
      self.restart();
      continue;
    }
    if (self.state != State::failed && self.parser->get().body().size() > self.body_bytes_max)
      self.fail(ErrorKind::exhausted, fmt::format("the response is longer than {} bytes", self.body_bytes_max));
    if (used == 0 && ++idle_rounds > 2) break;  // steps between parts of a body consume nothing, but not for long
    if (used != 0) idle_rounds = 0;
  }
  return consumed;
}

void ResponseParser::feed_end() {
  Inner& self = *inner_;
  if (self.state != State::header && self.state != State::body) return;
  if (self.state == State::body) {
    boost::system::error_code error;
    self.parser->put_eof(error);
    if (!error) {
      self.state = State::done;
      return;
    }
  }
  self.fail(ErrorKind::unavailable, begun() ? "the response ended early" : "the connection was closed unanswered");
}

ResponseParser::State ResponseParser::state() const noexcept {
  return inner_->state;
}
bool ResponseParser::begun() const noexcept {
  return inner_->interims > 0 || inner_->parser->got_some();
}
Error ResponseParser::error() const {
  return inner_->error;
}
const Response& ResponseParser::head() const noexcept {
  return inner_->head;
}
std::string ResponseParser::take_body() {
  return std::exchange(inner_->parser->get().body(), {});
}
bool ResponseParser::keep_alive() const noexcept {
  return inner_->state == State::done && inner_->keep_alive;
}

}  // namespace opi::rest
