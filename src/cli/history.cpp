#include "cli/history.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <iostream>

#include "cli/deployments.hpp"
#include "cli/steps.hpp"

namespace opi::cli {

namespace {

constexpr std::size_t columns = 6;
using Cells = std::array<std::string, columns>;

std::string utc(WallTime time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", std::chrono::floor<std::chrono::seconds>(time));
}

std::string cause_text(const store::Cause& cause) {
  constexpr std::size_t id_shown = 12;  // of a commit's 40 digits
  return fmt::format("{} {}", cause.kind, cause.kind == "commit" ? cause.id.substr(0, id_shown) : cause.id);
}

Cells cells_of(const store::HistoryEvent& event) {
  return {utc(event.at),
          event.deployment.empty() ? event.project : event.project + "/" + event.deployment,
          event.action,
          std::string(to_string(event.outcome)),
          duration_text(event.duration),
          cause_text(event.cause)};
}

Task<int> history(app::Services* services, Arguments arguments) {
  auto main = services->pools().get("main");
  if (!main) co_return complain(main.error());
  auto lease = co_await main->get().acquire({.task = "read the history"});
  if (!lease) co_return complain(lease.error().to_error());
  store::HistoryQuery query{.project = arguments.project, .limit = arguments.limit};
  if (!arguments.deployment.empty()) query.deployment = arguments.deployment;
  if (arguments.before != 0) query.before_id = arguments.before;
  auto records = co_await store::read_history(&**lease, std::move(query));
  if (!records) co_return complain(records.error());
  std::cout << (arguments.json ? history_json(*records) : history_text(*records));
  co_return exit_done;
}

}  // namespace

std::string history_text(const std::vector<store::HistoryRecord>& records) {
  if (records.empty()) return "nothing is recorded\n";
  std::vector<Cells> rows{{"TIME", "DEPLOYMENT", "ACTION", "OUTCOME", "TOOK", "CAUSE"}};
  for (const auto& record : records) rows.push_back(cells_of(record.event));
  std::array<std::size_t, columns> widths{};
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < columns; ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (std::size_t line = 0; line < rows.size(); ++line) {
    for (std::size_t i = 0; i + 1 < columns; ++i) text += fmt::format("{:<{}}  ", rows[line][i], widths[i]);
    text += rows[line][columns - 1] + "\n";
    if (line == 0) continue;
    const auto& event = records[line - 1].event;
    if (!event.statement.empty()) text += fmt::format("    {}\n", event.statement);
    if (!event.message.empty())
      text += fmt::format("    {}{}{}\n", event.sqlstate, event.sqlstate.empty() ? "" : " ", event.message);
  }
  if (records.size() > 1)
    text += fmt::format("\n{} entries; older ones: --before {}\n", records.size(), records.back().id);
  return text;
}

std::string history_json(const std::vector<store::HistoryRecord>& records) {
  boost::json::array all;
  for (const auto& [id, event] : records) {
    all.push_back(boost::json::object{
        {"id", id},
        {"at", utc(event.at)},
        {"project", event.project},
        {"deployment", event.deployment},
        {"server", event.server},
        {"action", event.action},
        {"statement", event.statement},
        {"cause",
         boost::json::object{{"kind", event.cause.kind}, {"id", event.cause.id}, {"replica", event.cause.replica}}},
        {"outcome", to_string(event.outcome)},
        {"sqlstate", event.sqlstate},
        {"message", event.message},
        {"duration_us", event.duration.count()}});
  }
  return boost::json::serialize(boost::json::object{{"history", std::move(all)}}) + "\n";
}

int run_history(const Arguments& arguments, const app::Environment& environment) {
  return with_session(arguments, environment, SessionNeeds::control, history);
}

}  // namespace opi::cli
