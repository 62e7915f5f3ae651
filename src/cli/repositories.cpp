#include "cli/repositories.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <iostream>
#include <utility>
#include <vector>

#include "aio/blocking_pool.hpp"
#include "cli/config.hpp"
#include "cli/event_loop.hpp"
#include "rest/client.hpp"

namespace opi::cli {

namespace {

namespace json = boost::json;
constexpr auto patience = std::chrono::seconds(10);

std::string_view verb_of(Command command) {
  switch (command) {
    case Command::suspend: return "suspend";
    case Command::resume: return "resume";
    default: return "reconcile";
  }
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string out;
  for (const char c : text) {
    if (plain.find(c) != std::string_view::npos)
      out.push_back(c);
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

rest::Request request_of(const Arguments& arguments) {
  if (arguments.command == Command::repositories) return {.target = "/api/v1/repositories"};
  rest::Request request{
      .method = rest::Method::post,
      .target = fmt::format("/api/v1/{}/{}/{}", arguments.kind == "project" ? "projects" : "repositories",
                            percent_encoded(arguments.name), verb_of(arguments.command)),
      .headers = {{"content-type", "application/json"}}};
  if (!arguments.reason.empty()) request.body = json::serialize(json::object{{"reason", arguments.reason}});
  return request;
}

/// An address to listen on is not always one to connect to.
std::string reachable(const std::string& address) {
  if (address.empty() || address == "0.0.0.0") return "127.0.0.1";
  return address == "::" ? "::1" : address;
}

/// What the daemon says is wrong (RFC 9457), or its status.
std::string complaint(const rest::Response& response) {
  boost::system::error_code ec;
  const auto body = json::parse(response.body, ec);
  const auto* object = ec ? nullptr : body.if_object();
  const auto* detail = object == nullptr ? nullptr : object->if_contains("detail");
  if (detail != nullptr && detail->is_string()) return std::string(std::string_view(detail->get_string()));
  return fmt::format("the daemon answered with {}", response.status);
}

std::string done_text(const Arguments& arguments) {
  switch (arguments.command) {
    case Command::suspend:
      return fmt::format("{0} {1} is left alone until: opi resume {0} {1}\n", arguments.kind, arguments.name);
    case Command::resume: return fmt::format("{} {} is no longer left alone\n", arguments.kind, arguments.name);
    default: return fmt::format("{} {} is looked at now\n", arguments.kind, arguments.name);
  }
}

int print(const Arguments& arguments, const rest::Response& response) {
  if (arguments.command != Command::repositories) {
    std::cout << (arguments.json ? response.body : done_text(arguments));
    return exit_done;
  }
  const auto text = arguments.json ? response.body : repositories_text(response.body);
  if (!text) {
    std::cerr << "opi: what answers there is no daemon of opi\n";
    return exit_failed;
  }
  std::cout << *text;
  return exit_done;
}

Task<int> ask(app::HttpSettings settings, Arguments arguments) {
  aio::BlockingPool names(1);
  rest::Client client({.host = reachable(*settings.address), .port = *settings.port}, names);
  const auto response = co_await client.send(request_of(arguments), std::chrono::steady_clock::now() + patience);
  client.close();
  if (!response) {
    std::cerr << fmt::format("opi: no daemon answers on {}:{}: {}\n", *settings.address, *settings.port,
                             response.error().to_string());
    co_return exit_failed;
  }
  if (response->status >= 200 && response->status < 300) co_return print(arguments, *response);
  std::cerr << "opi: " << complaint(*response) << '\n';
  co_return exit_failed;
}

std::string text_of(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  if (value == nullptr) return {};
  return value->is_string() ? std::string(std::string_view(value->get_string())) : json::serialize(*value);
}

/// The time of day of a timestamp.
std::string time_of(const json::object& object, std::string_view name) {
  const auto text = text_of(object, name);
  return text.size() > 11 ? text.substr(11) : "-";
}

using Row = std::array<std::string, 8>;

void add_rows(const json::object& repository, std::vector<Row>& rows, std::vector<std::string>& reasons) {
  const auto name = text_of(repository, "name");
  if (const auto error = text_of(repository, "error"); !error.empty())
    reasons.push_back(fmt::format("{}: since {}: {}", name, text_of(repository, "failing_since"), error));
  Row row{name,
          "-",
          text_of(repository, "state"),
          "-",
          time_of(repository, "last_check"),
          time_of(repository, "last_success"),
          time_of(repository, "next_check"),
          "-"};
  const auto* branches = repository.if_contains("branches");
  const auto before = rows.size();
  if (branches != nullptr && branches->is_array()) {
    for (const auto& one : branches->get_array()) {
      const auto* branch = one.if_object();
      if (branch == nullptr) continue;
      row[1] = text_of(*branch, "branch");
      row[3] = text_of(*branch, "head").substr(0, 7);
      row[7] = time_of(*branch, "behind_since");
      rows.push_back(row);
      const auto* refused = branch->if_contains("refused");
      if (refused == nullptr || !refused->is_object()) continue;
      reasons.push_back(fmt::format("{}: {} of {} is not acted on: {}", name,
                                    text_of(refused->get_object(), "commit").substr(0, 7), row[1],
                                    text_of(refused->get_object(), "reason")));
    }
  }
  if (rows.size() == before) rows.push_back(row);
}

}  // namespace

std::optional<std::string> repositories_text(std::string_view answer) {
  boost::system::error_code ec;
  const auto body = json::parse(answer, ec);
  const auto* object = ec ? nullptr : body.if_object();
  const auto* list = object == nullptr ? nullptr : object->if_contains("repositories");
  if (list == nullptr || !list->is_array()) return std::nullopt;
  if (list->get_array().empty()) return "no repository is followed\n";
  std::vector<Row> rows{
      {"REPOSITORY", "BRANCH", "STATE", "HEAD", "LAST CHECK", "LAST SUCCESS", "NEXT CHECK", "BEHIND SINCE"}};
  std::vector<std::string> reasons;
  for (const auto& one : list->get_array())
    if (const auto* repository = one.if_object()) add_rows(*repository, rows, reasons);
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      std::size_t width = 0;
      for (const auto& other : rows) width = std::max(width, other[i].size());
      line += fmt::format("{:<{}}", row[i].empty() ? "-" : row[i], width + 2);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  for (const auto& reason : reasons) text += "\n" + reason;
  return reasons.empty() ? text : text + "\n";
}

int run_repositories(const Arguments& arguments, const app::Environment& environment) {
  const auto settings = load_or_explain(arguments.config, environment, std::cerr);
  if (!settings) return exit_configuration;
  if (*settings->http.port == 0) {
    std::cerr << "opi: http.port is 0, so nobody knows where the daemon listens; give it a port\n";
    return exit_configuration;
  }
  EventLoop loop;
  return loop.run(ask(settings->http, arguments));
}

}  // namespace opi::cli
