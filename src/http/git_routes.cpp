#include "http/git_routes.hpp"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <utility>

#include "http/status_routes.hpp"

namespace opi::http {

namespace {

using Kind = GitControl::Kind;
enum class Verb { suspend, resume, reconcile };

constexpr std::size_t reason_bytes_max = 1'024;

Task<Response> take_webhook(git::WebhookReceiver* receiver, Request request) {
  const std::string name(request.parameter("repository"));
  const auto outcome =
      receiver->receive({.headers = std::move(request.headers), .body = std::move(request.body)}, name);
  switch (outcome) {
    case git::WebhookOutcome::refused: co_return problem(401, "the webhook is not signed with a secret that is known");
    case git::WebhookOutcome::invalid: co_return problem(400, "the webhook cannot be understood");
    case git::WebhookOutcome::woken: co_return Response{.status = 202, .body = "the repository is looked at\n"};
    case git::WebhookOutcome::ignored:
      co_return Response{.status = 202, .body = "nothing that is followed has moved\n"};
  }
  co_return problem(500, "");
}

int status_of(const Error& error) {
  switch (error.kind) {
    case ErrorKind::not_found: return 404;
    case ErrorKind::conflict: return 409;
    case ErrorKind::invalid: return 400;
    default: return 503;
  }
}

/// The reason of a body; "" without one. Errors: invalid.
Result<std::string> reason_of(const std::string& body) {
  if (body.empty()) return std::string();
  boost::system::error_code ec;
  boost::json::parse_options options;
  options.max_depth = 4;
  const auto value = boost::json::parse(body, ec, {}, options);
  const auto* object = ec ? nullptr : value.if_object();
  if (object == nullptr) return failure(ErrorKind::invalid, "the body is not a JSON object");
  std::string reason;
  for (const auto& [key, one] : *object) {
    const auto* text = one.if_string();
    if (key != "reason" || text == nullptr || text->size() > reason_bytes_max)
      return failure(ErrorKind::invalid, "the body may have one field, reason, a text of at most 1024 bytes");
    reason.assign(text->data(), text->size());
  }
  return reason;
}

Task<Response> say(GitControl* control, Kind kind, Verb verb, Request request) {
  if (!request.header("content-type").starts_with("application/json"))
    co_return problem(415, "send Content-Type: application/json");
  auto reason = reason_of(request.body);
  if (!reason) co_return problem(400, reason.error().message);
  std::string name(request.parameter("name"));
  Result<> done;
  switch (verb) {
    case Verb::suspend: done = co_await control->suspend(kind, name, *std::move(reason)); break;
    case Verb::resume: done = co_await control->resume(kind, name); break;
    case Verb::reconcile: done = co_await control->reconcile(kind, name); break;
  }
  if (!done) co_return problem(status_of(done.error()), done.error().to_string());
  co_return json_response(boost::json::object{{"name", name}}, verb == Verb::reconcile ? 202 : 200);
}

Task<Response> list_repositories(const StatusSource* source) {
  co_return json_response(boost::json::object{{"repositories", repositories_json(source->status().repositories)}});
}

}  // namespace

std::vector<Route> webhook_routes(git::WebhookReceiver* receiver) {
  const auto handler = [receiver](Request request) { return take_webhook(receiver, std::move(request)); };
  return {{Method::post, "/hooks/git", Access::anyone, "webhooks of Git hosts, signed", handler},
          {Method::post, "/hooks/git/{repository}", Access::anyone, "the same for one repository by name", handler}};
}

std::vector<Route> git_control_routes(const StatusSource* source, GitControl* control) {
  std::vector<Route> routes{{Method::get, "/api/v1/repositories", Access::loopback,
                             "the followed repositories, as JSON",
                             [source](Request) { return list_repositories(source); }}};
  struct Kinds {
    Kind kind;
    const char* path;
  };
  struct Verbs {
    Verb verb;
    const char* path;
    const char* summary;
  };
  for (const auto& [kind, kind_path] : {Kinds{Kind::repository, "repositories"}, Kinds{Kind::project, "projects"}}) {
    for (const auto& [verb, verb_path, summary] :
         {Verbs{Verb::suspend, "suspend", "leaves it alone until it is resumed"},
          Verbs{Verb::resume, "resume", "no longer leaves it alone"},
          Verbs{Verb::reconcile, "reconcile", "looks at it now"}}) {
      routes.push_back(
          {Method::post, fmt::format("/api/v1/{}/{{name}}/{}", kind_path, verb_path), Access::loopback, summary,
           [control, kind, verb](Request request) { return say(control, kind, verb, std::move(request)); }});
    }
  }
  return routes;
}

}  // namespace opi::http
