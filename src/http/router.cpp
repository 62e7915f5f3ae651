#include "http/router.hpp"

#include <algorithm>
#include <boost/url/pct_string_view.hpp>
#include <stdexcept>
#include <utility>

namespace opi::http {

namespace {

/// The decoded steps of a path, or nothing when one is not decodable or has a zero byte in it.
std::optional<std::vector<std::string>> steps_of(std::string_view path) {
  if (!path.starts_with('/')) return std::nullopt;
  std::vector<std::string> steps;
  for (std::size_t start = 1; start <= path.size();) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    const auto encoded = boost::urls::make_pct_string_view(path.substr(start, end - start));
    if (!encoded) return std::nullopt;
    steps.push_back(encoded->decode());
    if (steps.back().find('\0') != std::string::npos) return std::nullopt;
    start = end + 1;
  }
  return steps;
}

bool is_parameter(std::string_view step) {
  return step.starts_with('{') && step.ends_with('}') && step.size() > 2;
}

/// The steps of a pattern; braces are not characters of a path.
std::vector<std::string> pattern_steps(std::string_view pattern) {
  if (!pattern.starts_with('/')) throw std::logic_error("a route's pattern must begin with /: " + std::string(pattern));
  std::vector<std::string> steps;
  std::string_view rest = pattern.substr(1);
  while (!rest.empty()) {
    const auto slash = rest.find('/');
    const std::string_view step = rest.substr(0, slash);
    if (step.empty() || (step.find_first_of("{}") != std::string_view::npos && !is_parameter(step))) {
      throw std::logic_error("not a route's pattern: " + std::string(pattern));
    }
    steps.emplace_back(step);
    rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
  }
  return steps;
}

bool same_shape(const std::vector<std::string>& one, const std::vector<std::string>& other) {
  return std::ranges::equal(
      one, other, [](const auto& a, const auto& b) { return a == b || (is_parameter(a) && is_parameter(b)); });
}

bool fits(const std::vector<std::string>& pattern, const std::vector<std::string>& path) {
  return std::ranges::equal(pattern, path, [](const auto& step, const auto& value) {
    return is_parameter(step) ? !value.empty() : step == value;
  });
}

/// Fewer parameters win: /projects/new before /projects/{project}.
std::ptrdiff_t parameters_in(const std::vector<std::string>& pattern) {
  return std::ranges::count_if(pattern, [](const auto& step) { return is_parameter(step); });
}

/// "localhost:8080" and the loopback literals; another name came from another site's page.
bool is_loopback_host(std::string_view host) {
  const auto colon = host.rfind(':');
  const auto bracket = host.rfind(']');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    host = host.substr(0, colon);
  }
  if (host == "localhost" || host == "[::1]") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

std::string_view to_string(Access access) noexcept {
  return access == Access::anyone ? "anyone" : "loopback";
}

Router::Router(std::vector<Route> routes) : routes_(std::move(routes)) {
  for (const Route& route : routes_) {
    auto steps = pattern_steps(route.pattern);
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      if (routes_[i].method == route.method && same_shape(steps_[i], steps)) {
        throw std::logic_error("two routes answer the same requests: " + routes_[i].pattern + ", " + route.pattern);
      }
    }
    steps_.push_back(std::move(steps));
  }
}

Router::Match Router::find(Method method, std::string_view path) const {
  Match match;
  auto steps = steps_of(path);
  if (!steps) return match;
  if (steps->size() == 1 && steps->front().empty()) steps->clear();  // "/"
  const Method wanted = method == Method::head ? Method::get : method;
  std::size_t best = routes_.size();
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    if (!fits(steps_[i], *steps)) continue;
    const std::string name{to_string(routes_[i].method)};
    if (match.allow.find(name) == std::string::npos) match.allow += name + (name == "GET" ? ", HEAD, " : ", ");
    if (routes_[i].method != wanted) continue;
    if (best == routes_.size() || parameters_in(steps_[i]) < parameters_in(steps_[best])) best = i;
  }
  if (!match.allow.empty()) match.allow += "OPTIONS";
  if (best == routes_.size()) return match;
  match.route = &routes_[best];
  for (std::size_t i = 0; i < steps->size(); ++i) {
    const std::string& step = steps_[best][i];
    if (is_parameter(step)) match.parameters.emplace_back(step.substr(1, step.size() - 2), (*steps)[i]);
  }
  return match;
}

std::optional<Response> refuse(const Request& request, Access access) {
  if (access == Access::anyone) return std::nullopt;
  const bool forwarded = !request.header("forwarded").empty() || !request.header("x-forwarded-for").empty();
  const std::string_view host = request.header("host");
  if (request.peer.loopback && !forwarded && (host.empty() || is_loopback_host(host))) return std::nullopt;
  return problem(403, "this may be called from the server's own machine only, as localhost");
}

}  // namespace opi::http
