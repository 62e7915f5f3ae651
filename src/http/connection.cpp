#include "http/connection.hpp"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <exception>
#include <utility>

#include "aio/with_deadline.hpp"
#include "base/clock.hpp"

namespace opi::http {

namespace {

/// Counts a request as running while it lives, also when it is cut off.
class RunningRequest {
 public:
  explicit RunningRequest(ServerStats& stats) noexcept : stats_(stats) { ++stats_.requests_running; }
  ~RunningRequest() { --stats_.requests_running; }
  RunningRequest(const RunningRequest&) = delete;
  RunningRequest& operator=(const RunningRequest&) = delete;

 private:
  ServerStats& stats_;
};

/// RFC 9110 §5.6.7, always in English.
std::string http_date(WallTime now) {
  constexpr std::array<const char*, 7> days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<const char*, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", days[static_cast<std::size_t>(parts.tm_wday)],
                     parts.tm_mday, months[static_cast<std::size_t>(parts.tm_mon)], parts.tm_year + 1900, parts.tm_hour,
                     parts.tm_min, parts.tm_sec);
}

/// The headers that no response goes without. A handler may set its own content-security-policy and cache-control.
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> security_headers{{
    {"cache-control", "no-store"},
    {"content-security-policy", "default-src 'none'; frame-ancestors 'none'"},
    {"cross-origin-resource-policy", "same-origin"},
    {"referrer-policy", "no-referrer"},
    {"x-content-type-options", "nosniff"},
    {"x-frame-options", "DENY"},
    {"permissions-policy", "interest-cohort=()"},
}};

bool has_header(const Headers& headers, std::string_view name) {
  return std::ranges::any_of(headers, [name](const auto& header) { return header.first == name; });
}

/// A handler's mistake must not split the response.
bool is_header_text(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

std::string head_of(const Response& response, bool keep_alive, WallTime now) {
  std::string head =
      fmt::format("HTTP/1.1 {} {}\r\ndate: {}\r\n", response.status, reason(response.status), http_date(now));
  const bool has_body = response.status != 204 && response.status != 304 && response.status >= 200;
  if (has_body) {
    head += fmt::format("content-type: {}\r\ncontent-length: {}\r\n", response.content_type, response.body.size());
  }
  head += keep_alive ? "connection: keep-alive\r\n" : "connection: close\r\n";
  for (const auto& [name, value] : response.headers) {
    if (is_header_text(name) && is_header_text(value)) head += fmt::format("{}: {}\r\n", name, value);
  }
  for (const auto& [name, value] : security_headers) {
    if (!has_header(response.headers, name)) head += fmt::format("{}: {}\r\n", name, value);
  }
  return head + "\r\n";
}

/// Methods that answer for a path, without a handler.
Response options_response(const std::string& allow) {
  return {.status = 204, .content_type = {}, .body = {}, .headers = {{"allow", allow}}};
}

Response refuse_method(const std::string& allow) {
  Response response = problem(405, "this path answers " + allow);
  response.headers.emplace_back("allow", allow);
  return response;
}

}  // namespace

Connection::Connection(aio::StreamPtr stream, Peer peer, ConnectionContext& context)
    : stream_(std::move(stream)), peer_(std::move(peer)), context_(context) {}

Task<> Connection::run() {
  for (std::uint32_t number = 1; co_await serve_one(number); ++number) {
  }
  stream_->close();
}

Task<> Connection::turn_away() {
  Response response = problem(503, "too many connections; try again in a moment");
  response.headers.emplace_back("retry-after", "1");
  (void)co_await respond(std::move(response), Method::get, false);
  co_await linger();
  stream_->close();
}

/// One request and its response; false when the connection is to end.
Task<bool> Connection::serve_one(std::uint32_t number) {
  RequestParser parser{context_.limits.header_bytes, context_.limits.body_bytes};
  if (!co_await await_request(&parser, number)) co_return false;
  if (parser.state() == RequestParser::State::failed) co_return co_await refuse_parse(&parser);

  const Method method = parser.request().method;
  const bool may_go_on = parser.keep_alive() && number < context_.limits.requests_per_connection;
  const RunningRequest running{context_.stats};
  Response response = co_await answer(&parser);
  // With a body that was not read, the next bytes are no request.
  const bool complete = parser.state() == RequestParser::State::done;
  const bool keep_alive = may_go_on && complete && !context_.draining;
  const bool sent = co_await respond(std::move(response), method, keep_alive);
  if (sent && !keep_alive) co_await linger();
  co_return sent&& keep_alive;
}

/// Until the headers are complete or refused; false when the peer left or was late, and has been told so if it had
/// begun.
Task<bool> Connection::await_request(RequestParser* parser, std::uint32_t number) {
  SteadyTime deadline = steady_now() + (number == 1 ? context_.limits.header_time : context_.limits.idle_time);
  bool begun = false;
  for (;;) {
    take(parser);
    if (parser->state() != RequestParser::State::header) co_return true;
    if (!begun && parser->begun()) {
      begun = true;
      if (number != 1) deadline = steady_now() + context_.limits.header_time;
    }
    if (!begun && context_.draining) co_return false;
    idle_ = !begun;
    idle_since_ = steady_now();
    const Read read = co_await read_more(deadline);
    idle_ = false;
    if (read == Read::late && begun) {
      if (co_await respond(problem(408, "the request's headers took too long"), Method::get, false)) co_await linger();
    }
    if (read != Read::more) co_return false;
  }
}

/// Until the body is complete; the answer when it is refused, ends early or is late.
Task<std::optional<Response>> Connection::await_body(RequestParser* parser) {
  const SteadyTime deadline = steady_now() + context_.limits.body_time;
  if (parser->state() == RequestParser::State::body && parser->expects_continue() && pending_.empty()) {
    co_await write("HTTP/1.1 100 Continue\r\n\r\n");
  }
  for (;;) {
    take(parser);
    if (parser->state() == RequestParser::State::failed) co_return problem(parser->status(), parser->detail());
    if (parser->state() == RequestParser::State::done) co_return std::nullopt;
    const Read read = co_await read_more(deadline);
    if (read == Read::late) co_return problem(408, "the request's body took too long");
    if (read != Read::more) co_return problem(400, "the request's body ended early");
  }
}

/// The response to a request whose headers are there.
Task<Response> Connection::answer(RequestParser* parser) {
  Request head = parser->request();
  head.peer = peer_;
  Router::Match match = context_.router->find(head.method, head.path);
  if (context_.draining) co_return problem(503, "the server is stopping");
  if (head.method == Method::other) co_return problem(501, "this method is not known here");
  if (head.path == "*") match.allow = "GET, HEAD, OPTIONS";
  if (match.allow.empty()) co_return problem(404, "there is nothing at this path; see /");
  if (match.route != nullptr) {
    if (auto refused = refuse(head, match.route->access)) co_return std::move(*refused);
  } else if (head.method != Method::options) {
    co_return refuse_method(match.allow);
  }
  if (auto refused = co_await await_body(parser)) co_return std::move(*refused);
  if (match.route == nullptr) co_return options_response(match.allow);
  Request request = parser->take();
  request.peer = peer_;
  request.parameters = std::move(match.parameters);
  co_return co_await run_handler(match.route, std::move(request));
}

Task<Response> Connection::run_handler(const Route* route, Request request) {
  std::string failure;
  try {
    co_return co_await route->handler(std::move(request));
  } catch (const std::exception& error) {
    failure = error.what();
  }
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  if (cancellation.cancelled() != asio::cancellation_type::none) co_return problem(503, "the server is stopping");
  context_.log.error(route->pattern, "handler failed", {{"error", failure}});
  co_return problem(500, "the server made a mistake; its log says more");
}

void Connection::take(RequestParser* parser) {
  pending_.erase(0, parser->feed(pending_));
}

Task<Connection::Read> Connection::read_more(SteadyTime deadline) {
  const auto got = co_await aio::with_deadline(stream_->read_some(chunk_), deadline, "reading a request");
  if (!got) co_return got.error().kind == ErrorKind::timed_out ? Read::late : Read::broken;
  if (*got == 0) co_return Read::ended;
  pending_.append(reinterpret_cast<const char*>(chunk_.data()), *got);
  co_return Read::more;
}

Task<bool> Connection::respond(Response response, Method method, bool keep_alive) {
  const auto status_class = static_cast<std::size_t>(std::clamp(response.status / 100, 0, 5));
  ++context_.stats.responses[status_class];
  std::string bytes = head_of(response, keep_alive, system_clock().wall());
  const bool has_body = method != Method::head && response.status != 204 && response.status != 304;
  if (has_body) bytes += response.body;
  co_return co_await write(std::move(bytes));
}

Task<bool> Connection::write(std::string bytes) {
  const SteadyTime deadline = steady_now() + context_.limits.write_time;
  const auto written =
      co_await aio::with_deadline(stream_->write_all(aio::bytes_of(bytes)), deadline, "writing a response");
  if (!written && written.error().kind == ErrorKind::timed_out) {
    context_.log.debug(peer_.address, "cut off: it does not take its response");
  }
  co_return written.has_value();
}

Task<bool> Connection::refuse_parse(const RequestParser* parser) {
  if (co_await respond(problem(parser->status(), parser->detail()), Method::get, false)) co_await linger();
  co_return false;
}

/// Ends our direction and reads what is still coming, a little: closing at once would make the peer's system throw our
/// answer away.
Task<> Connection::linger() {
  constexpr std::size_t linger_bytes_max = 256U << 10U;
  constexpr std::chrono::milliseconds linger_time{1'000};
  const SteadyTime deadline = steady_now() + linger_time;
  pending_.clear();
  if (!co_await aio::with_deadline(stream_->shutdown(), deadline, "ending a connection")) co_return;
  for (std::size_t dropped = 0; dropped < linger_bytes_max; dropped += pending_.size()) {
    pending_.clear();
    if (co_await read_more(deadline) != Read::more) co_return;
  }
}

}  // namespace opi::http
