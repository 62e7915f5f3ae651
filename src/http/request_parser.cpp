#include "http/request_parser.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <optional>
#include <utility>

namespace opi::http {

namespace beast = boost::beast::http;

namespace {

std::string lower(std::string_view text) {
  std::string result{text};
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

Method method_of(beast::verb verb) {
  switch (verb) {
    case beast::verb::get: return Method::get;
    case beast::verb::head: return Method::head;
    case beast::verb::post: return Method::post;
    case beast::verb::put: return Method::put;
    case beast::verb::patch: return Method::patch;
    case beast::verb::delete_: return Method::delete_;
    case beast::verb::options: return Method::options;
    default: return Method::other;
  }
}

/// What to answer to a failure of Beast's parser.
std::pair<int, std::string> answer_to(const boost::system::error_code& error) {
  if (error == beast::error::header_limit) return {431, "the request line and headers are too long"};
  if (error == beast::error::body_limit) return {413, "the body is too long"};
  // Also what Beast says of a version that does not end in CR LF.
  if (error == beast::error::bad_version) return {505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
  return {400, "not an HTTP request: " + error.message()};
}

}  // namespace

struct RequestParser::Inner {
  beast::request_parser<beast::string_body> parser;
};

RequestParser::RequestParser(std::uint32_t header_bytes_max, std::uint64_t body_bytes_max)
    : inner_(std::make_unique<Inner>()), header_bytes_max_(header_bytes_max) {
  inner_->parser.header_limit(header_bytes_max);
  inner_->parser.body_limit(body_bytes_max);
  inner_->parser.eager(false);
}

RequestParser::~RequestParser() = default;

bool RequestParser::begun() const noexcept {
  return inner_->parser.got_some();
}

void RequestParser::fail(int status, std::string detail) {
  state_ = State::failed;
  status_ = status;
  detail_ = std::move(detail);
}

std::size_t RequestParser::feed(std::string_view bytes) {
  constexpr std::size_t blank_bytes_max = 4;
  std::size_t consumed = 0;
  int idle_rounds = 0;
  // RFC 9112 §2.2: line breaks before the request line are ignored, some old clients send one after a body.
  while (state_ == State::header && blank_bytes_ < blank_bytes_max && !inner_->parser.got_some() &&
         consumed < bytes.size() && (bytes[consumed] == '\r' || bytes[consumed] == '\n')) {
    ++blank_bytes_;
    ++consumed;
  }
  while ((state_ == State::header || state_ == State::body) && consumed < bytes.size()) {
    boost::system::error_code error;
    const std::string_view rest = bytes.substr(consumed);
    const std::size_t used = inner_->parser.put(boost::asio::buffer(rest.data(), rest.size()), error);
    consumed += used;
    if (error == beast::error::need_more) {
      // Beast bounds headers and bodies, but not a chunk's line, which it wants whole.
      if (state_ == State::body && used == 0 && rest.size() > header_bytes_max_)
        fail(400, "a chunk's line is too long");
      break;
    }
    if (error) {
      const auto [status, detail] = answer_to(error);
      fail(status, detail);
      break;
    }
    if (state_ == State::header && inner_->parser.is_header_done()) {
      state_ = State::body;
      check_header();
      if (state_ == State::body && inner_->parser.is_done()) state_ = State::done;
      break;
    }
    if (inner_->parser.is_done()) {
      state_ = State::done;
    } else if (used == 0 && ++idle_rounds > 1) {
      break;  // steps between parts of a body consume nothing, but never twice in a row
    }
    if (used != 0) idle_rounds = 0;
  }
  return consumed;
}

void RequestParser::check_header() {
  const auto& message = inner_->parser.get();
  const bool http_1_1 = message.version() == 11;  // the only other one that Beast lets through is 1.0
  request_.method = method_of(message.method());
  request_.target = std::string(message.target());
  int hosts = 0;
  int lengths = 0;
  int encodings = 0;
  for (const auto& field : message) {
    hosts += field.name() == beast::field::host ? 1 : 0;
    lengths += field.name() == beast::field::content_length ? 1 : 0;
    encodings += field.name() == beast::field::transfer_encoding ? 1 : 0;
    request_.headers.emplace_back(lower({field.name_string().data(), field.name_string().size()}),
                                  std::string(field.value().data(), field.value().size()));
  }
  if (hosts > 1 || (http_1_1 && hosts == 0)) return fail(400, "exactly one Host header is needed");
  // Two opinions on where the body ends are how requests are smuggled past a proxy.
  if (encodings > 0 && lengths > 0) return fail(400, "both Transfer-Encoding and Content-Length");
  if (lengths > 1 || request_.header("content-length").find(',') != std::string_view::npos) {
    return fail(400, "more than one Content-Length");
  }
  if (encodings > 1 || (encodings == 1 && lower(request_.header("transfer-encoding")) != "chunked")) {
    return fail(501, "the only transfer coding spoken here is chunked");
  }
  if (encodings == 1 && !http_1_1) return fail(400, "Transfer-Encoding needs HTTP/1.1");
  const std::string expect = lower(request_.header("expect"));
  if (!expect.empty() && expect != "100-continue") return fail(400, "an unknown Expect header");
  expects_continue_ = http_1_1 && !expect.empty();
  keep_alive_ = inner_->parser.keep_alive();
  read_target();
}

void RequestParser::read_target() {
  if (request_.target == "*" && request_.method == Method::options) {
    request_.path = "*";
    return;
  }
  // Absolute targets are for proxies, but a server must take them too (RFC 9112 §3.2.2).
  auto parsed = request_.target.starts_with('/') ? boost::urls::parse_origin_form(request_.target)
                                                 : boost::urls::parse_absolute_uri(request_.target);
  if (!parsed) return fail(400, "the request's target is not a path");
  const boost::urls::url_view url = *parsed;
  if (!request_.target.starts_with('/') && url.scheme() != "http" && url.scheme() != "https") {
    return fail(400, "the request's target is not a path");
  }
  request_.path = std::string(url.encoded_path());
  if (request_.path.empty()) request_.path = "/";
  for (const auto& parameter : url.params()) {
    request_.query.emplace_back(parameter.key, parameter.has_value ? parameter.value : std::string());
  }
}

Request RequestParser::take() {
  request_.body = std::move(inner_->parser.get().body());
  return std::move(request_);
}

}  // namespace opi::http
