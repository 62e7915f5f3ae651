#include "kube/client.hpp"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <optional>
#include <random>
#include <utility>

#include "aio/with_deadline.hpp"
#include "base/backoff.hpp"
#include "base/clock.hpp"
#include "kube/api_error.hpp"
#include "kube/authentication.hpp"
#include "kube/rate_limit.hpp"

namespace opi::kube {

namespace {

namespace json = boost::json;

/// One call as it is sent, as often as it has to be.
struct Call {
  rest::Method method = rest::Method::get;
  std::string target = {};
  std::string content_type = {};
  std::string body = {};
  std::string subject = {};  ///< "secret rig-shop/prod-database": what errors begin with
  bool repeatable = true;

  Call() = default;
  Call(Call&&) noexcept = default;
  Call& operator=(Call&&) noexcept = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() { wipe(body); }

  bool writes() const noexcept { return method != rest::Method::get; }
};

rest::Request request_of(const Call& call, const Credential& credential) {
  rest::Request request{.method = call.method, .target = call.target, .headers = {{"accept", "application/json"}}};
  request.headers.emplace_back("user-agent", "opi");
  if (!call.content_type.empty()) request.headers.emplace_back("content-type", call.content_type);
  if (!credential.token.empty())
    request.authorization = SecretString::take(fmt::format("Bearer {}", credential.token.reveal()));
  request.body = call.body;
  request.repeatable = call.repeatable;
  return request;
}

Result<Object> parse_object(rest::Response response, const std::string& subject) {
  boost::system::error_code error;
  json::value value = json::parse(response.body, error);
  wipe(response.body);
  if (error || !value.is_object())
    return failure(ErrorKind::internal, fmt::format("{}: the API server did not answer with an object", subject));
  return std::move(value.get_object());
}

std::string text_at(const Object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  const auto* text = value != nullptr ? value->if_string() : nullptr;
  return text != nullptr ? std::string(*text) : std::string();
}

}  // namespace

struct Client::State {
  State(ClusterAccess given, ClientOptions opts, aio::BlockingPool& blocking, Logger logger)
      : access(std::move(given)),
        options(std::move(opts)),
        log(std::move(logger)),
        authentication(access.credentials),
        limit(options.requests_per_second, options.requests_burst),
        http({.host = access.server.host,
              .port = access.server.port,
              .tls_name = access.server.tls_name,
              .connections_max = options.connections_max},
             blocking) {}

  Task<Result<rest::ResponseStream>> open(std::shared_ptr<const Call> call, SteadyTime deadline);
  Task<Result<rest::Response>> send(std::shared_ptr<const Call> call, SteadyTime deadline);
  /// Until the request may be sent, and the credential to send it with.
  Task<Result<const Credential*>> prepare(SteadyTime deadline);
  Result<> use_certificate(const Credential& credential);
  template <class Answer, class Once, class StatusOf>
  Task<Result<Answer>> attempt(std::shared_ptr<const Call> call, Once once, StatusOf response_of, SteadyTime deadline);
  Task<Result<Object>> object_of(Call call, SteadyTime deadline);
  Task<Result<>> read_pages(Listing* listing, std::string target, std::string subject, SteadyTime deadline);

  ClusterAccess access;
  ClientOptions options;
  Logger log;
  Authentication authentication;
  RateLimit limit;
  rest::Client http;
  std::uint64_t tls_number = 0;  ///< the credential that the TLS settings were made for
  bool tls_made = false;
  ClientStats counted = {};
  std::minstd_rand random{std::random_device{}()};
};

/// A new certificate means new connections.
Result<> Client::State::use_certificate(const Credential& credential) {
  if (!access.server.tls || (tls_made && tls_number == authentication.number())) return {};
  const bool changes = !tls_made || !credential.certificate_pem.empty();
  tls_number = authentication.number();
  if (!changes) return {};
  auto tls = aio::TlsContext::client({.ca_pem = access.server.ca_pem,
                                      .certificate_pem = credential.certificate_pem,
                                      .key_pem = credential.key_pem.copy(),
                                      .verify = access.server.verify,
                                      .application_protocol = "http/1.1"});
  if (!tls) return failure(std::move(tls).error());
  http.use_tls(std::move(*tls));
  tls_made = true;
  return {};
}

Task<Result<const Credential*>> Client::State::prepare(SteadyTime deadline) {
  const SteadyTime when = limit.reserve(steady_now());
  if (when >= deadline) co_return failure(ErrorKind::timed_out, "our own rate limit leaves no time for it");
  if (when > steady_now() && !co_await aio::sleep_until(when)) co_return failure(ErrorKind::cancelled, "cancelled");
  auto credential = co_await authentication.current(deadline);
  if (!credential) co_return credential;
  if (auto used = use_certificate(**credential); !used) co_return failure(std::move(used).error());
  co_return credential;
}

/// Tries until it is answered for good: what `once` gives is the answer, `response_of` its status and headers.
template <class Answer, class Once, class StatusOf>
Task<Result<Answer>> Client::State::attempt(std::shared_ptr<const Call> call, Once once, StatusOf response_of,
                                            SteadyTime deadline) {
  Backoff backoff({.first = options.first_backoff, .most = std::chrono::seconds(10), .jitter = 0.5}, random());
  bool reauthenticated = false;
  for (std::uint32_t tried = 1;; ++tried) {
    const auto credential = co_await prepare(deadline);
    if (!credential) co_return failure(Error(credential.error()).while_doing(call->subject));
    const std::uint64_t shown = authentication.number();
    const bool with_certificate = !(*credential)->certificate_pem.empty();
    ++counted.requests;
    counted.writes += call->writes() ? 1U : 0U;
    Result<Answer> answer = co_await once(&http, request_of(*call, **credential), deadline);
    Error error;
    std::optional<std::chrono::milliseconds> wait;
    bool again = false;
    if (!answer) {
      error = answer.error();
      const bool lost = error.kind == ErrorKind::unavailable;
      again = call->repeatable && lost;
      // A certificate that the server does not take any more is refused while shaking hands, or by silence after that.
      if (with_certificate && !reauthenticated && call->repeatable && (lost || error.kind == ErrorKind::denied)) {
        reauthenticated = again = true;
        authentication.reject(shown);
      }
    } else {
      const rest::Response& response = response_of(*answer);
      if (response.status >= 200 && response.status < 300) co_return answer;
      error = error_of(response);
      wait = retry_after(response);
      counted.throttled += response.status == 429 ? 1U : 0U;
      // Refused before anything was done, so that it may be sent again whatever it is.
      const bool untouched = response.status == 429 || (response.status == 503 && wait);
      again = untouched || (call->repeatable && response.status >= 500);
      if (response.status == 401 && !reauthenticated) {
        reauthenticated = again = true;
        authentication.reject(shown);
        wait = std::chrono::milliseconds(0);
      }
    }
    const SteadyTime next = steady_now() + wait.value_or(backoff.next());
    if (!again || tried >= options.attempts_max || next >= deadline)
      co_return failure(std::move(error).while_doing(call->subject));
    ++counted.retries;
    log.debug(call->subject, "again", {{"because", error.to_string()}});
    if (!co_await aio::sleep_until(next)) co_return failure(ErrorKind::cancelled, call->subject + ": cancelled");
  }
}

Task<Result<rest::Response>> Client::State::send(std::shared_ptr<const Call> call, SteadyTime deadline) {
  const auto once = [](rest::Client* client, rest::Request request, SteadyTime until) {
    return client->send(std::move(request), until);
  };
  const auto itself = [](const rest::Response& response) -> const rest::Response& { return response; };
  co_return co_await attempt<rest::Response>(std::move(call), once, itself, deadline);
}

Task<Result<rest::ResponseStream>> Client::State::open(std::shared_ptr<const Call> call, SteadyTime deadline) {
  const auto once = [](rest::Client* client, rest::Request request, SteadyTime until) {
    return client->open(std::move(request), until);
  };
  const auto head = [](const rest::ResponseStream& stream) -> const rest::Response& { return stream.head(); };
  co_return co_await attempt<rest::ResponseStream>(std::move(call), once, head, deadline);
}

Task<Result<Object>> Client::State::object_of(Call call, SteadyTime deadline) {
  call.target.insert(0, access.server.path);
  const auto shared = std::make_shared<const Call>(std::move(call));
  auto response = co_await send(shared, deadline);
  if (!response) co_return failure(std::move(response).error());
  co_return parse_object(std::move(*response), shared->subject);
}

Client::Client(ClusterAccess access, ClientOptions options, aio::BlockingPool& blocking, Logger log)
    : state_(std::make_unique<State>(std::move(access), std::move(options), blocking, std::move(log))) {}
Client::~Client() = default;

Task<Result<Object>> Client::get(ObjectName object, SteadyTime deadline) {
  auto path = object_path(object);
  if (!path) co_return failure(std::move(path).error().while_doing(to_string(object)));
  Call call;
  call.target = std::move(*path);
  call.subject = to_string(object);
  co_return co_await state_->object_of(std::move(call), deadline);
}

/// All pages of `target` into `listing`.
Task<Result<>> Client::State::read_pages(Listing* listing, std::string target, std::string subject,
                                         SteadyTime deadline) {
  std::string next;
  do {
    Call call;
    call.target = next.empty() ? target : fmt::format("{}&continue={}", target, query_value(next));
    call.subject = subject;
    auto page = co_await object_of(std::move(call), deadline);
    if (!page) co_return failure(std::move(page).error());
    if (auto* items = page->if_contains("items"); items != nullptr && items->is_array()) {
      for (auto& item : items->get_array()) {
        if (!item.is_object()) continue;
        if (listing->objects.size() >= options.objects_max)
          co_return failure(ErrorKind::exhausted,
                            fmt::format("{}: more than {} objects", subject, options.objects_max));
        listing->objects.push_back(std::move(item.get_object()));
      }
    }
    listing->resource_version = metadata_text(*page, "resourceVersion");
    next = metadata_text(*page, "continue");
  } while (!next.empty());
  co_return Result<>{};
}

Task<Result<Listing>> Client::list(ResourceKind kind, std::string name_space, std::string label_selector,
                                   SteadyTime deadline) {
  auto path = collection_path(kind, name_space);
  if (!path) co_return failure(std::move(path).error());
  const std::string target =
      fmt::format("{}?limit={}&labelSelector={}", *path, state_->options.page_size, query_value(label_selector));
  for (int round = 1;; ++round) {
    Listing listing;
    auto read = co_await state_->read_pages(&listing, target, std::string(kind.plural), deadline);
    if (read) co_return listing;
    if (!has_status(read.error(), 410) || round == 2) co_return failure(std::move(read).error());
  }
}

Task<Result<Object>> Client::apply(ResourceKind kind, Object object, ApplyOptions options, SteadyTime deadline) {
  const ObjectName name = name_of(kind, object);
  auto path = object_path(name);
  if (!path) co_return failure(std::move(path).error().while_doing(to_string(name)));
  object["apiVersion"] = api_version(kind);
  object["kind"] = kind.kind;
  Call call;
  call.method = rest::Method::patch;
  call.target =
      fmt::format("{}?fieldManager={}&fieldValidation=Strict&force={}{}", *path,
                  query_value(state_->options.field_manager), options.force, options.dry_run ? "&dryRun=All" : "");
  // JSON is YAML, and this is the one media type that servers of every version take for it.
  call.content_type = "application/apply-patch+yaml";
  call.body = json::serialize(object);
  call.subject = to_string(name);
  co_return co_await state_->object_of(std::move(call), deadline);
}

Task<Result<Object>> Client::create(ResourceKind kind, Object object, SteadyTime deadline) {
  ObjectName name = name_of(kind, object);
  if (name.name.empty()) name.name = metadata_text(object, "generateName");
  auto path = collection_path(kind, name.name_space);
  if (!path) co_return failure(std::move(path).error().while_doing(to_string(name)));
  object["apiVersion"] = api_version(kind);
  object["kind"] = kind.kind;
  Call call;
  call.method = rest::Method::post;
  call.target =
      fmt::format("{}?fieldManager={}&fieldValidation=Strict", *path, query_value(state_->options.field_manager));
  call.content_type = "application/json";
  call.body = json::serialize(object);
  call.subject = to_string(name);
  call.repeatable = false;
  co_return co_await state_->object_of(std::move(call), deadline);
}

Task<Result<>> Client::remove(ObjectName object, std::string uid, SteadyTime deadline) {
  auto path = object_path(object);
  if (!path) co_return failure(std::move(path).error().while_doing(to_string(object)));
  if (uid.empty()) co_return failure(ErrorKind::invalid, to_string(object) + ": a removal needs the object's uid");
  Call call;
  call.method = rest::Method::delete_;
  call.target = std::move(*path);
  call.content_type = "application/json";
  call.body = json::serialize(json::object{{"apiVersion", "v1"},
                                           {"kind", "DeleteOptions"},
                                           {"propagationPolicy", "Background"},
                                           {"preconditions", json::object{{"uid", uid}}}});
  call.subject = to_string(object);
  auto removed = co_await state_->object_of(std::move(call), deadline);
  if (!removed) co_return failure(std::move(removed).error());
  co_return Result<>{};
}

Task<Result<rest::ResponseStream>> Client::open_watch(ResourceKind kind, std::string name_space,
                                                      std::string label_selector, std::string resource_version,
                                                      std::chrono::seconds server_timeout, SteadyTime deadline) {
  auto path = collection_path(kind, name_space);
  if (!path) co_return failure(std::move(path).error());
  Call call;
  call.target =
      fmt::format("{}{}?watch=true&allowWatchBookmarks=true&resourceVersion={}&labelSelector={}&timeoutSeconds={}",
                  state_->access.server.path, *path, query_value(resource_version), query_value(label_selector),
                  server_timeout.count());
  call.subject = fmt::format("watching {}", kind.plural);
  co_return co_await state_->open(std::make_shared<const Call>(std::move(call)), deadline);
}

Task<Result<std::string>> Client::server_version(SteadyTime deadline) {
  Call call;
  call.target = "/version";
  call.subject = state_->http.address();
  auto version = co_await state_->object_of(std::move(call), deadline);
  if (!version) co_return failure(std::move(version).error());
  co_return text_at(*version, "gitVersion");
}

void Client::close() noexcept {
  state_->http.close();
}

ClientStats Client::stats() const noexcept {
  ClientStats stats = state_->counted;
  stats.http = state_->http.stats();
  return stats;
}

const std::string& Client::address() const noexcept {
  return state_->http.address();
}

}  // namespace opi::kube
