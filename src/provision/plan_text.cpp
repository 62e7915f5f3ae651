// What a plan looks like: for people, for machines, and as a digest.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "provision/plan.hpp"
#include "provision/sha256.hpp"

namespace opi::provision {
namespace {

namespace json = boost::json;

char sign_char(Sign sign) {
  switch (sign) {
    case Sign::create: return '+';
    case Sign::change: return '~';
    case Sign::remove: return '-';
    case Sign::drift: return '!';
  }
  return '?';
}

std::string_view sign_word(Sign sign) {
  switch (sign) {
    case Sign::create: return "create";
    case Sign::change: return "change";
    case Sign::remove: return "remove";
    case Sign::drift: return "drift";
  }
  return "?";
}

void append_line(std::string& text, char sign, std::string_view object, std::string_view name,
                 std::string_view detail) {
  text += fmt::format("  {} {:<9} {:<20} {}", sign, object, name, detail);
  while (text.ends_with(' ')) text.pop_back();
  text += '\n';
}

/// The record of a difference that is fixed; what is made again because it is missing has none.
Drift drift_of(const DeploymentPlan& plan, const Action& action) {
  for (const auto& one : plan.drifts) {
    if (one.policy == DriftPolicy::fix && one.name == action.name && one.detail == action.detail) return one;
  }
  return {.name = action.name, .detail = action.detail, .key = {}};
}

json::object json_of(const Drift& drift) {
  json::object object{{"field", to_string(drift.field)},
                      {"policy", to_string(drift.policy)},
                      {"name", drift.name},
                      {"detail", drift.detail},
                      {"inside", drift.inside},
                      {"ours", drift.ours}};
  if (drift.since) object["since"] = std::chrono::system_clock::to_time_t(*drift.since);
  return object;
}

void append_deployment(std::string& text, const DeploymentPlan& plan) {
  if (plan.refusal) {
    text += plan.refusal->to_string() + "\n";
    return;
  }
  if (plan.waiting) {
    text += fmt::format("{}: waiting: {}\n", plan.title(), plan.waiting->to_string());
    return;
  }
  const auto left = std::ranges::count_if(plan.drifts, [](const Drift& one) { return one.policy != DriftPolicy::fix; });
  if (plan.actions.empty() && plan.notes.empty() && left == 0) return;
  text += plan.pool.empty() ? plan.title() : fmt::format("{} on {}", plan.title(), plan.pool);
  if (!plan.server_version.empty()) text += fmt::format(" (PostgreSQL {})", plan.server_version);
  text += '\n';
  for (const auto& action : plan.actions) {
    const bool drift = action.sign == Sign::drift;
    append_line(text, sign_char(action.sign), drift ? "drift" : std::string_view(action.object), action.name,
                drift ? drift_text(drift_of(plan, action)) : action.detail);
  }
  for (const auto& drift : plan.drifts) {
    if (drift.policy != DriftPolicy::fix) append_line(text, '!', "drift", drift.name, drift_text(drift));
  }
  for (const auto& note : plan.notes) text += fmt::format("    note: {}\n", note);
  if (!plan.approval.empty()) text += fmt::format("    needs approval: {}\n", fmt::join(plan.approval, ", "));
}

json::object json_of(const Error& error) {
  json::object object{
      {"kind", to_string(error.kind)}, {"handling", to_string(error.handling())}, {"message", error.message}};
  if (!error.code.empty()) object["code"] = error.code;
  if (error.place.known()) object["place"] = error.place.to_string();
  if (!error.causes.empty()) object["causes"] = json::array(error.causes.begin(), error.causes.end());
  if (!error.remedy.empty()) object["remedy"] = error.remedy;
  return object;
}

json::object json_of(const DeploymentPlan& plan) {
  json::array actions;
  for (const auto& action : plan.actions) {
    json::object one{{"sign", sign_word(action.sign)}, {"kind", to_string(action.kind)},
                     {"object", action.object},        {"name", action.name},
                     {"detail", action.detail},        {"subject", action.subject}};
    if (!action.value.empty()) one["value"] = action.value;
    actions.push_back(std::move(one));
  }
  json::object object{{"project", plan.project},
                      {"deployment", plan.deployment},
                      {"namespace", plan.namespace_},
                      {"database", plan.database},
                      {"pool", plan.pool},
                      {"server_version", plan.server_version}};
  object["actions"] = std::move(actions);
  object["approval"] = json::array(plan.approval.begin(), plan.approval.end());
  json::array drifts;
  for (const auto& one : plan.drifts) drifts.push_back(json_of(one));
  object["drift"] = std::move(drifts);
  object["notes"] = json::array(plan.notes.begin(), plan.notes.end());
  if (plan.refusal) object["refusal"] = json_of(*plan.refusal);
  if (plan.waiting) object["waiting"] = json_of(*plan.waiting);
  return object;
}

}  // namespace

std::string_view to_string(ActionKind kind) noexcept {
  switch (kind) {
    case ActionKind::create_owner: return "create_owner";
    case ActionKind::create_read_only: return "create_read_only";
    case ActionKind::stamp_role: return "stamp_role";
    case ActionKind::restrict_role: return "restrict_role";
    case ActionKind::grant_to_admin: return "grant_to_admin";
    case ActionKind::create_database: return "create_database";
    case ActionKind::set_database_owner: return "set_database_owner";
    case ActionKind::revoke_from_public: return "revoke_from_public";
    case ActionKind::grant_connect: return "grant_connect";
    case ActionKind::set_connection_limit: return "set_connection_limit";
    case ActionKind::open_database: return "open_database";
    case ActionKind::discard_copy: return "discard_copy";
    case ActionKind::copy_database: return "copy_database";
    case ActionKind::copy_over: return "copy_over";
    case ActionKind::drop_schema: return "drop_schema";
    case ActionKind::create_schema: return "create_schema";
    case ActionKind::reown_object: return "reown_object";
    case ActionKind::set_schema_owner: return "set_schema_owner";
    case ActionKind::revoke_public_schema: return "revoke_public_schema";
    case ActionKind::grant_schema_usage: return "grant_schema_usage";
    case ActionKind::default_privileges: return "default_privileges";
    case ActionKind::create_extension: return "create_extension";
    case ActionKind::create_login: return "create_login";
    case ActionKind::enable_login: return "enable_login";
    case ActionKind::grant_owner: return "grant_owner";
    case ActionKind::set_login_role: return "set_login_role";
    case ActionKind::set_search_path: return "set_search_path";
    case ActionKind::set_password: return "set_password";
    case ActionKind::verify_login: return "verify_login";
    case ActionKind::rotate_login: return "rotate_login";
    case ActionKind::disable_login: return "disable_login";
    case ActionKind::end_sessions: return "end_sessions";
    case ActionKind::bury: return "bury";
    case ActionKind::final_dump: return "final_dump";
    case ActionKind::drop_database: return "drop_database";
    case ActionKind::drop_role: return "drop_role";
    case ActionKind::forget: return "forget";
    case ActionKind::write_object: return "write_object";
  }
  return "unknown";
}

std::string Action::effect() const {
  return fmt::format("{}\n{}\n{}", to_string(kind), subject, value);
}

PlanCounts Plan::counts() const {
  PlanCounts counts;
  for (const auto& deployment : deployments) {
    counts.refused += deployment.refusal ? 1U : 0U;
    counts.waiting += deployment.waiting ? 1U : 0U;
    for (const auto& action : deployment.actions) {
      switch (action.sign) {
        case Sign::create: ++counts.create; break;
        case Sign::change: ++counts.change; break;
        case Sign::remove: ++counts.remove; break;
        case Sign::drift: ++counts.drift; break;
      }
    }
  }
  return counts;
}

std::string Plan::digest() const {
  // Lengths before texts, so that no two plans share a form. What people read (details, notes) is no effect.
  std::string form = "effects 2\n";
  const auto add = [&form](std::string_view text) { form += fmt::format("{}:{}\n", text.size(), text); };
  for (const auto& deployment : deployments) {
    if (deployment.actions.empty()) continue;
    for (const std::string_view text : {std::string_view(deployment.project), std::string_view(deployment.deployment),
                                        std::string_view(deployment.pool), std::string_view(deployment.database),
                                        std::string_view(deployment.inputs)}) {
      add(text);
    }
    for (const auto& action : deployment.actions) add(action.effect());
  }
  return sha256_hex(form);
}

std::string to_text(const Plan& plan) {
  std::string text;
  for (const auto& deployment : plan.deployments) append_deployment(text, deployment);
  for (const auto& kept : plan.kept) text += fmt::format("{}/{}: {}\n", kept.project, kept.deployment, kept.reason);
  const auto counts = plan.counts();
  if (!text.empty()) text += '\n';
  std::string line = counts.total() == 0 ? fmt::format("{} deployments, nothing to do", plan.deployments.size())
                                         : fmt::format("{} to create, {} to change, {} to remove, {} drift to fix",
                                                       counts.create, counts.change, counts.remove, counts.drift);
  if (counts.refused != 0) line += fmt::format(", {} refused", counts.refused);
  if (counts.waiting != 0) line += fmt::format(", {} waiting", counts.waiting);
  text += counts.total() == 0 ? line : fmt::format("{:<64} digest {}", line, plan.digest().substr(0, 8));
  return text + "\n";
}

std::string to_json(const Plan& plan) {
  json::array deployments;
  for (const auto& one : plan.deployments) deployments.push_back(json_of(one));
  json::array kept;
  for (const auto& one : plan.kept) {
    kept.push_back(json::object{{"project", one.project},
                                {"deployment", one.deployment},
                                {"namespace", one.namespace_},
                                {"database", one.database},
                                {"pool", one.pool},
                                {"reason", one.reason}});
  }
  const auto counts = plan.counts();
  json::object all{{"digest", plan.digest()},
                   {"counts", json::object{{"create", counts.create},
                                           {"change", counts.change},
                                           {"remove", counts.remove},
                                           {"drift", counts.drift},
                                           {"refused", counts.refused},
                                           {"waiting", counts.waiting}}}};
  all["deployments"] = std::move(deployments);
  all["kept"] = std::move(kept);
  return json::serialize(all) + "\n";
}

}  // namespace opi::provision
