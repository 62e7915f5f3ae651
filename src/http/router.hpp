#pragma once
/// @file
/// Routes as data: method, path, who may call it, and what it does.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "http/message.hpp"

namespace opi::http {

/// Who may call a route; the server enforces it before the handler runs.
enum class Access {
  anyone,    ///< whoever can connect
  loopback,  ///< from this machine only: no forwarded request, and no page of another site (its Host gives it away)
};
std::string_view to_string(Access access) noexcept;

/// Runs on the server's executor. What it needs beyond the request it holds itself; that must outlive the server. An
/// exception that leaves it is logged and answered with 500.
using Handler = std::function<Task<Response>(Request)>;

/// One route. A pattern is "/a/{name}/b": each step is a literal or a `{name}` that stands for one non-empty step.
struct Route {
  Method method = Method::get;
  std::string pattern;
  Access access = Access::loopback;
  std::string summary;  ///< for the list of routes and the API's documentation
  Handler handler;
};

/// Finds the route of a request. HEAD takes the route of GET; the server leaves the body out. Immutable; safe from any
/// thread.
class Router {
 public:
  /// Throws std::logic_error when two routes answer the same requests, or a pattern is none: a mistake of the program.
  explicit Router(std::vector<Route> routes);

  struct Match {
    const Route* route = nullptr;  ///< null: see `allow`
    std::vector<std::pair<std::string, std::string>> parameters = {};
    std::string allow = {};  ///< the methods of this path, "GET, HEAD, OPTIONS"; empty: no such path
  };
  Match find(Method method, std::string_view path) const;

  const std::vector<Route>& routes() const noexcept { return routes_; }

 private:
  std::vector<Route> routes_;
  std::vector<std::vector<std::string>> steps_;  ///< of each route's pattern
};

/// Whether `request` may call a route of `access`: nothing, or the answer that refuses it.
std::optional<Response> refuse(const Request& request, Access access);

}  // namespace opi::http
