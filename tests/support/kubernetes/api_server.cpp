#include "support/kubernetes/api_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <optional>

#include "fmt/format.h"
#include "http/request_parser.hpp"
#include "support/kubernetes/api_access.hpp"

namespace opi::test {

struct ApiServer::Peer {
  aio::StreamPtr stream;
};

/// One open watch: woken when something changed, or to end.
struct ApiServer::Watcher {
  explicit Watcher(const asio::any_io_executor& executor) : woken(executor, SteadyTime::max()) {}
  asio::steady_timer woken;
  bool ending = false;
  bool cut = false;
};

namespace {

void ignore(const std::exception_ptr&) {}

std::string query_of(const http::Request& request, std::string_view name) {
  for (const auto& [key, value] : request.query) {
    if (key == name) return value;
  }
  return {};
}

std::string verb_of(const http::Request& request, bool collection) {
  switch (request.method) {
    case http::Method::get:
      if (!collection) return "get";
      return query_of(request, "watch") == "true" ? "watch" : "list";
    case http::Method::post: return "create";
    case http::Method::put: return "update";
    case http::Method::patch: return "patch";
    case http::Method::delete_: return "delete";
    default: return "none";
  }
}

/// Where a path leads.
struct Target {
  const ApiKind* kind = nullptr;
  std::string name_space;
  std::string name;
};

std::vector<std::string> segments_of(std::string_view path) {
  std::vector<std::string> segments;
  while (!path.empty()) {
    path.remove_prefix(1);
    const auto end = path.find('/');
    segments.emplace_back(path.substr(0, end));
    path = end == std::string_view::npos ? std::string_view() : path.substr(end);
  }
  return segments;
}

std::optional<Target> target_of(std::string_view path) {
  std::vector<std::string> segments = segments_of(path);
  std::size_t at = 0;
  std::string version;
  if (segments.size() > 2 && segments[0] == "api") {
    version = segments[1];
    at = 2;
  } else if (segments.size() > 3 && segments[0] == "apis") {
    version = segments[1] + "/" + segments[2];
    at = 3;
  }
  Target target;
  if (segments.size() > at + 2 && segments[at] == "namespaces") {
    target.name_space = segments[at + 1];
    at += 2;
  }
  if (version.empty() || segments.size() <= at || segments.size() > at + 2) return std::nullopt;
  for (const auto& kind : api_kinds()) {
    if (kind.plural == segments[at] && kind.api_version == version) target.kind = &kind;
  }
  if (segments.size() == at + 2) target.name = segments[at + 1];
  if (target.kind == nullptr || (!target.kind->namespaced && !target.name_space.empty())) return std::nullopt;
  return target;
}

bool matches(const json::object& object, const std::string& selector) {
  std::string_view rest = selector;
  while (!rest.empty()) {
    const auto end = rest.find(',');
    const std::string_view term = rest.substr(0, end);
    const auto equals = term.find('=');
    const auto* labels = object.at("metadata").as_object().if_contains("labels");
    const auto* value = labels != nullptr ? labels->as_object().if_contains(term.substr(0, equals)) : nullptr;
    if (value == nullptr || (equals != std::string_view::npos && value->as_string() != term.substr(equals + 1)))
      return false;
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  return true;
}

/// Source: RFC 7396.
void merge(json::object& into, const json::object& patch) {
  for (const auto& [key, value] : patch) {
    if (value.is_null()) {
      into.erase(key);
    } else if (value.is_object()) {
      auto& slot = into[key];
      if (!slot.is_object()) slot = json::object();
      merge(slot.as_object(), value.get_object());
    } else {
      into[key] = value;
    }
  }
}

std::string response_of(int status, const std::string& body, const std::string& retry_after = {}) {
  return fmt::format("HTTP/1.1 {} {}\r\ncontent-type: application/json\r\n{}content-length: {}\r\n\r\n{}", status,
                     http::reason(status), retry_after.empty() ? "" : fmt::format("retry-after: {}\r\n", retry_after),
                     body.size(), body);
}

}  // namespace

ApiServer::ApiServer(asio::io_context& context, aio::TlsContextPtr tls)
    : listener_(aio::TcpListener::open(context.get_executor(), "127.0.0.1", 0).value()), tls_(std::move(tls)) {
  asio::co_spawn(context, accept(this), ignore);
}

ApiServer::~ApiServer() = default;

std::uint16_t ApiServer::port() const noexcept {
  return listener_.port();
}

std::size_t ApiServer::count(std::string_view method) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(requests_, [method](const auto& request) { return request.method == method; }));
}

std::size_t ApiServer::watches() const noexcept {
  return watchers_.size();
}

void ApiServer::end_watches(bool cut) {
  for (const auto& watcher : watchers_) {
    watcher->ending = true;
    watcher->cut = cut;
    watcher->woken.cancel();
  }
}

void ApiServer::changed() {
  for (const auto& watcher : watchers_) watcher->woken.cancel();
}

Task<> ApiServer::accept(ApiServer* self) {
  const auto executor = co_await asio::this_coro::executor;
  for (;;) {
    auto stream = co_await self->listener_.accept();
    if (!stream) co_return;
    ++self->accepted_;
    auto peer = std::make_shared<Peer>(std::move(*stream));
    self->peers_.push_back(peer);
    asio::co_spawn(executor, serve(self, peer), ignore);
  }
}

Task<> ApiServer::serve(ApiServer* self, std::shared_ptr<Peer> peer) {
  if (self->tls_) {
    auto secured = co_await aio::tls_accept(std::move(peer->stream), self->tls_,
                                            system_clock().steady() + std::chrono::seconds(20));
    if (!secured) co_return;
    peer->stream = std::move(*secured);
  }
  std::string pending;
  std::array<std::byte, 16384> chunk{};
  for (bool keep = true; keep;) {
    http::RequestParser parser(64 << 10, 16 << 20);
    for (;;) {
      const auto taken = parser.feed(pending);
      pending.erase(0, taken);
      if (parser.state() == http::RequestParser::State::done) break;
      if (parser.state() == http::RequestParser::State::failed) co_return;
      if (parser.state() == http::RequestParser::State::body && !pending.empty() && taken != 0) continue;
      const auto got = co_await peer->stream->read_some(chunk);
      if (!got || *got == 0) co_return;
      pending.append(reinterpret_cast<const char*>(chunk.data()), *got);
    }
    keep = co_await self->answer(peer, parser.take());
  }
}

/// False when the connection is over.
Task<bool> ApiServer::answer(std::shared_ptr<Peer> peer, http::Request request) {
  const std::string method(http::to_string(request.method));
  requests_.push_back({.method = method,
                       .target = request.target,
                       .authorization = std::string(request.header("authorization")),
                       .body = request.body});
  std::optional<ApiFault> fault;
  for (auto entry = faults_.begin(); entry != faults_.end(); ++entry) {
    if ((!entry->method.empty() && entry->method != method) || !request.target.contains(entry->fragment)) continue;
    fault = *entry;
    faults_.erase(entry);
    break;
  }
  if (fault && fault->kind == ApiFault::Kind::cut_before) co_return false;
  if (fault && fault->kind == ApiFault::Kind::stall) {
    asio::steady_timer for_ever(co_await asio::this_coro::executor, SteadyTime::max());
    co_await for_ever.async_wait(as_result);
    co_return false;
  }
  if (fault && fault->kind == ApiFault::Kind::answer) {
    const auto failed = api_failure(fault->status, "Injected", "as the test asked for");
    co_return (co_await peer->stream->write_all(
                   aio::bytes_of(response_of(fault->status, json::serialize(failed.body), fault->retry_after))))
        .has_value();
  }
  const auto target = target_of(request.path);
  const bool watching = target && target->name.empty() && query_of(request, "watch") == "true";
  ObjectStore::Answer answered = act(request);
  if (watching && std::holds_alternative<json::object>(answered))
    co_return co_await watch(peer, target->kind->plural, target->name_space,
                             std::stoull("0" + query_of(request, "resourceVersion")));
  const auto* failed = std::get_if<ApiFailure>(&answered);
  const int status = failed != nullptr ? failed->status : request.method == http::Method::post ? 201 : 200;
  std::string bytes =
      response_of(status, json::serialize(failed != nullptr ? failed->body : std::get<json::object>(answered)));
  if (request.method != http::Method::get) changed();
  if (fault && fault->kind == ApiFault::Kind::cut_after) co_return false;
  if (fault) bytes.resize(bytes.size() / 2 + 40);
  const bool written = (co_await peer->stream->write_all(aio::bytes_of(bytes))).has_value();
  co_return written && !fault;
}

std::optional<ApiFailure> ApiServer::refusal(const http::Request& request, const std::string& verb,
                                             const ApiKind& kind) const {
  const std::string shown(request.header("authorization"));
  bool allowed = !forbidden_.contains(fmt::format("{} {}", verb, kind.plural));
  if (const auto account = accounts_.find(shown); allowed && !tokens_.empty() && !tokens_.contains(shown))
    allowed = account != accounts_.end() &&
              allows(store_, account->second, {.verb = verb, .api_version = kind.api_version, .plural = kind.plural});
  if (allowed) return std::nullopt;
  return api_failure(
      403, "Forbidden",
      fmt::format("{} is forbidden: User \"opi\" cannot {} resource \"{}\"", kind.plural, verb, kind.plural));
}

/// TokenRequest of a service account.
ObjectStore::Answer ApiServer::give_token(const http::Request& request) {
  const auto segments = segments_of(request.path);
  const ApiKey key{.plural = "serviceaccounts", .name_space = segments.at(3), .name = segments.at(5)};
  if (!tokens_.empty() && !tokens_.contains(std::string(request.header("authorization"))))
    return api_failure(403, "Forbidden", "only administrators are given tokens here");
  auto found = store_.get(key);
  if (std::holds_alternative<ApiFailure>(found)) return found;
  const auto token = fmt::format("account-{}", accounts_.size() + 1);
  accounts_["Bearer " + token] = key.name_space + "/" + key.name;
  return json::object{{"kind", "TokenRequest"},
                      {"apiVersion", "authentication.k8s.io/v1"},
                      {"metadata", json::object()},
                      {"status", json::object{{"token", token}, {"expirationTimestamp", "2099-01-01T00:00:00Z"}}}};
}

ObjectStore::Answer ApiServer::act(const http::Request& request) {
  const std::string shown(request.header("authorization"));
  if (!tokens_.empty() && !tokens_.contains(shown) && !accounts_.contains(shown))
    return api_failure(401, "Unauthorized", "Unauthorized");
  if (request.path == "/version") return json::object{{"gitVersion", "v1.31.2"}, {"major", "1"}, {"minor", "31"}};
  if (auto about = discovery(request.path)) return *std::move(about);
  if (request.path.ends_with("/token") && segments_of(request.path).size() == 7) return give_token(request);
  const auto target = target_of(request.path);
  if (!target) return api_failure(404, "NotFound", "the server could not find the requested resource");
  const std::string verb = verb_of(request, target->name.empty());
  if (auto refused = refusal(request, verb, *target->kind)) return *std::move(refused);
  if (target->name.empty()) return act_on_collection(request, *target->kind, target->name_space);
  const ApiKey key{.plural = target->kind->plural, .name_space = target->name_space, .name = target->name};
  if (request.method == http::Method::get) return store_.get(key);
  return change(request, *target->kind, key);
}

ObjectStore::Answer ApiServer::change(const http::Request& request, const ApiKind& kind, const ApiKey& key) {
  boost::system::error_code error;
  json::value body = request.body.empty() ? json::object() : json::parse(request.body, error);
  if (error || !body.is_object()) return api_failure(400, "BadRequest", "the body is no object");
  if (request.method == http::Method::delete_) {
    const auto* conditions = body.as_object().if_contains("preconditions");
    const auto* uid = conditions != nullptr ? conditions->as_object().if_contains("uid") : nullptr;
    return store_.remove(key, uid != nullptr ? std::string(uid->as_string()) : "");
  }
  if (request.method != http::Method::patch) return api_failure(405, "MethodNotAllowed", "not spoken here");
  const auto manager = query_of(request, "fieldManager");
  if (request.header("content-type") == "application/merge-patch+json") {
    auto found = store_.get(key);
    if (auto* object = std::get_if<json::object>(&found)) {
      merge(*object, body.as_object());
      return store_.update(key, std::move(*object), manager.empty() ? "unknown" : manager);
    }
    return found;
  }
  if (request.header("content-type") != "application/apply-patch+yaml")
    return api_failure(415, "UnsupportedMediaType", "only server-side apply and merge patches are spoken here");
  if (manager.empty()) return api_failure(422, "Invalid", "fieldManager: Required value: is required for apply patch");
  // An apply of what is not there is a creation too.
  if (std::holds_alternative<ApiFailure>(store_.get(key)))
    if (auto refused = refusal(request, "create", kind)) return *std::move(refused);
  return store_.apply(kind, key, std::move(body.as_object()),
                      {.manager = manager,
                       .force = query_of(request, "force") == "true",
                       .dry_run = query_of(request, "dryRun") == "All"});
}

ObjectStore::Answer ApiServer::act_on_collection(const http::Request& request, const ApiKind& kind,
                                                 std::string name_space) {
  if (request.method == http::Method::get && query_of(request, "watch") == "true") return json::object();
  if (request.method == http::Method::get) return list(request, kind, name_space);
  if (request.method != http::Method::post) return api_failure(405, "MethodNotAllowed", "not spoken here");
  boost::system::error_code error;
  json::value body = json::parse(request.body, error);
  if (error || !body.is_object() || !body.as_object().contains("metadata"))
    return api_failure(400, "BadRequest", "the body is no object");
  const auto* name = body.as_object().at("metadata").as_object().if_contains("name");
  ApiKey key{.plural = kind.plural,
             .name_space = std::move(name_space),
             .name = name != nullptr ? std::string(name->as_string()) : ""};
  return store_.create(kind, std::move(key), std::move(body.as_object()), query_of(request, "fieldManager"));
}

ObjectStore::Answer ApiServer::list(const http::Request& request, const ApiKind& kind,
                                    const std::string& name_space) const {
  const auto all = store_.list(kind.plural, name_space);
  const std::string selector = query_of(request, "labelSelector");
  const std::string token = query_of(request, "continue");
  std::uint64_t version = store_.version();
  std::size_t at = 0;
  if (!token.empty()) {
    const auto dash = token.find('-');
    version = std::stoull(token.substr(0, dash));
    at = std::stoull(token.substr(dash + 1));
    if (!store_.since(version)) return api_failure(410, "Expired", "The provided continue parameter is too old");
  }
  const std::size_t limit = std::min<std::size_t>(page_max_, std::stoull("0" + query_of(request, "limit")));
  json::array items;
  for (; at < all.size() && items.size() < limit; ++at) {
    if (matches(all[at], selector)) items.push_back(all[at]);
  }
  json::object metadata{{"resourceVersion", std::to_string(version)}};
  if (at < all.size()) metadata["continue"] = fmt::format("{}-{}", version, at);
  return json::object{
      {"kind", kind.kind + "List"}, {"apiVersion", kind.api_version}, {"metadata", metadata}, {"items", items}};
}

Task<bool> ApiServer::watch(std::shared_ptr<Peer> peer, std::string plural, std::string name_space,
                            std::uint64_t from) {
  const auto watcher = std::make_shared<Watcher>(co_await asio::this_coro::executor);
  watchers_.push_back(watcher);
  std::string bytes = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
  bool open = true;
  const auto event = [&bytes](std::string_view type, const json::object& object) {
    const std::string line = json::serialize(json::object{{"type", type}, {"object", object}}) + "\n";
    bytes += fmt::format("{:x}\r\n{}\r\n", line.size(), line);
  };
  while (open) {
    const auto events = store_.since(from);
    if (!events) {
      event("ERROR", api_failure(410, "Expired", "too old resource version").body);
      watcher->ending = true;
    } else {
      for (const auto& change : *events) {
        if (change.collection == plural && (name_space.empty() || change.name_space == name_space)) {
          json::object object = change.object;
          object["metadata"].as_object()["resourceVersion"] = std::to_string(change.version);
          event(change.type, object);
        }
      }
      from = store_.version();
      event("BOOKMARK",
            json::object{{"kind", plural}, {"metadata", json::object{{"resourceVersion", std::to_string(from)}}}});
    }
    if (watcher->ending && !watcher->cut) bytes += "0\r\n\r\n";
    if (!watcher->cut) open = (co_await peer->stream->write_all(aio::bytes_of(bytes))).has_value();
    bytes.clear();
    if (watcher->ending || !open) break;
    co_await watcher->woken.async_wait(as_result);
    watcher->woken.expires_at(SteadyTime::max());
  }
  std::erase(watchers_, watcher);
  co_return open && !watcher->cut;
}

}  // namespace opi::test
