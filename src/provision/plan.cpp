#include "provision/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "provision/adopt.hpp"
#include "provision/plan_parts.hpp"
#include "provision/rotation.hpp"
#include "provision/stamp.hpp"

namespace opi::provision {

bool finished_before(const store::InventoryEntry* known) noexcept {
  return known != nullptr && known->deployment.ready_at.has_value();
}

bool adopted(const PlanInput& input) noexcept {
  return input.known != nullptr && input.known->deployment.adoption != store::Adoption::none;
}

void settle_adopted(const PlanInput& input, DeploymentPlan& plan) {
  if (!adopted(input)) return;
  for (auto& action : plan.actions) {
    if (!finished_before(input.known) && action.sign == Sign::drift) action.sign = Sign::change;
  }
  if (input.known->deployment.adoption == store::Adoption::additive) keep_additive(plan, input.desired.names);
}

bool inputs_changed(const PlanInput& input) {
  return input.known == nullptr || input.known->deployment.inputs_hash != input.desired.inputs_hash();
}

bool copies(const PlanInput& input) noexcept {
  return input.clone != nullptr && input.clone->make.has_value();
}

bool copies_by_template(const PlanInput& input) noexcept {
  return copies(input) && input.desired.clone && input.desired.clone->by_template;
}

Sign missing(const PlanInput& input) noexcept {
  return finished_before(input.known) && !copies(input) ? Sign::drift : Sign::create;
}

Sign different(const PlanInput& input) {
  if (!finished_before(input.known) || copies(input)) return Sign::create;
  return inputs_changed(input) ? Sign::change : Sign::drift;
}

namespace {

Error not_ours(const PlanInput& input, std::string_view what, const std::string& name, std::string why) {
  return Error(ErrorKind::conflict,
               fmt::format("{}: {} \"{}\" {}; not touched", input.desired.title(), what, name, why))
      .at(input.desired.place);
}

/// Ownership of a role that exists: the inventory first, then the stamp, which no tenant can write. A stamp that is not
/// ours is never overruled: somebody else works there.
std::optional<Error> foreign_role(const PlanInput& input, const ObservedRole& role) {
  const auto stamp = parse_stamp(role.comment);
  if (stamp && input.known != nullptr && stamp->id == input.known->deployment.stamp) return std::nullopt;
  if (!stamp && finished_before(input.known)) return std::nullopt;
  const auto& names = input.desired.names;
  if (!stamp && adopted(input) && (role.name == names.base || role.name == names.read_only)) return std::nullopt;
  if (!stamp) {
    return not_ours(input, "role", role.name, "exists and is not ours")
        .with_remedy(fmt::format("rename the deployment, or take it over: opi adopt {} {}", input.desired.project,
                                 input.desired.deployment));
  }
  if (stamp->project == input.desired.project && stamp->deployment == input.desired.deployment) {
    return not_ours(input, "role", role.name, "is stamped for this deployment by another control database")
        .with_remedy("use the control database that it was made with");
  }
  return not_ours(input, "role", role.name, fmt::format("is stamped for {}/{}", stamp->project, stamp->deployment))
      .with_remedy("rename the deployment");
}

std::optional<Error> foreign_objects(const PlanInput& input) {
  const auto& names = input.desired.names;
  for (const auto* name : {&names.base, &names.read_only, &names.login_a, &names.login_b}) {
    const auto* role = input.server.role(*name);
    if (role == nullptr) continue;
    if (auto foreign = foreign_role(input, *role)) return foreign;
  }
  const auto* database = input.server.database(input.desired.database);
  if (database == nullptr || finished_before(input.known) || adopted(input)) return std::nullopt;
  // The owner role is ours by now, if it exists at all; a database that belongs to it was made by us.
  if (input.server.role(names.base) != nullptr && database->owner == names.base) return std::nullopt;
  return not_ours(input, "database", database->name,
                  fmt::format("exists, belongs to \"{}\" and is not ours", database->owner))
      .with_remedy("rename the deployment, or remove that database if nobody needs it");
}

/// A database stays on the server that it was made on.
std::optional<Error> moved(const PlanInput& input) {
  if (input.known == nullptr || !input.server_id || input.known->deployment.server_id == *input.server_id) {
    return std::nullopt;
  }
  const auto& from = input.known->deployment.pool;
  return Error(ErrorKind::unsupported,
               fmt::format("{}: its database lives on pool \"{}\"; moving it to \"{}\" is not supported yet",
                           input.desired.title(), from, input.desired.pool))
      .at(input.desired.place)
      .with_remedy(fmt::format("name pool \"{}\" again", from))
      .handled_by(Handling::needs_person);
}

std::optional<Error> refusal_of(const PlanInput& input) {
  if (input.desired.refusal) return input.desired.refusal;
  if (auto elsewhere = moved(input)) return elsewhere;
  if (auto foreign = foreign_objects(input)) return foreign;
  if (input.clone == nullptr) return std::nullopt;
  if (input.clone->refusal) return input.clone->refusal;
  // A copy goes into a database that was made for it, never into one that is there.
  const auto& make = input.clone->make;
  if (make && make->state == store::CloneState::begun && input.server.database(make->database) != nullptr &&
      !input.clone->discard) {
    return not_ours(input, "database", make->database, "is there already, and a copy is never put into what is there")
        .with_remedy("remove that database if nobody needs it");
  }
  return std::nullopt;
}

std::string limit_text(std::int64_t limit) {
  return limit < 0 ? "none" : std::to_string(limit);
}

void note_foreign_members(const PlanInput& input, Planner& planner) {
  const auto& names = input.desired.names;
  for (const auto& one : input.server.foreign_memberships) {
    if (one.member == input.server.facts.admin) continue;
    for (const auto* name : {&names.base, &names.read_only, &names.login_a, &names.login_b}) {
      if (one.role == *name)
        planner.notice(DriftField::foreign_members, one.role,
                       fmt::format("role {} was made a member of {} by somebody; left so", one.member, one.role),
                       false);
    }
  }
}

DeploymentPlan headed(const PlanInput& input) {
  const auto& desired = input.desired;
  DeploymentPlan plan{.project = desired.project,
                      .deployment = desired.deployment,
                      .namespace_ = desired.namespace_,
                      .database = desired.database,
                      .pool = desired.pool,
                      .server_version = input.server.facts.version_text};
  plan.first_time = !finished_before(input.known);
  plan.inputs = desired.inputs_hash();
  return plan;
}

}  // namespace

void Planner::restrict(const ObservedRole& role, bool may_login) {
  std::string wrong;
  std::string right;
  const auto check = [&](bool has, std::string_view attribute) {
    if (!has) return;
    wrong += fmt::format("{}{}", wrong.empty() ? "" : ", ", attribute);
    right += fmt::format("{}NO{}", right.empty() ? "" : " ", attribute);
  };
  check(role.login && !may_login, "LOGIN");
  check(role.create_db, "CREATEDB");
  check(role.create_role, "CREATEROLE");
  // Only a superuser may take these; whoever is none reports them.
  if (input_.server.facts.superuser) {
    check(role.superuser, "SUPERUSER");
    check(role.replication, "REPLICATION");
    check(role.bypass_rls, "BYPASSRLS");
  } else if (role.superuser || role.replication || role.bypass_rls) {
    plan_.notes.push_back(
        fmt::format("role {} is SUPERUSER, REPLICATION or BYPASSRLS; only a superuser can take that away", role.name));
  }
  if (!right.empty()) {
    add(ActionKind::restrict_role, Sign::drift, "role", role.name, fmt::format("was given {}", wrong), role.name,
        right);
  }
}

void Planner::stamp(const ObservedRole& role) {
  if (input_.known == nullptr) return;
  const auto stamp = parse_stamp(role.comment);
  if (stamp && stamp->id == input_.known->deployment.stamp) return;
  add(ActionKind::stamp_role, Sign::drift, "role", role.name, "our stamp in its comment is gone", role.name);
}

void Planner::roles() {
  const auto& names = input_.desired.names;
  if (const auto* owner = input_.server.role(names.base)) {
    restrict(*owner, owner_still_logs_in(input_.known));
    stamp(*owner);
    admin_membership();
  } else {
    add(ActionKind::create_owner, missing(input_), "role", names.base, "owner, NOLOGIN", names.base);
  }
  if (const auto* reader = input_.server.role(names.read_only)) {
    restrict(*reader, reader_logs_in(input_));
    stamp(*reader);
  } else {
    add(ActionKind::create_read_only, missing(input_), "role", names.read_only, "read only, NOLOGIN", names.read_only);
  }
}

/// An admin who is no superuser works through its membership of the owner.
void Planner::admin_membership() {
  const auto& facts = input_.server.facts;
  if (facts.superuser) return;
  bool set = false;
  for (const auto& one : input_.server.foreign_memberships) {
    if (one.role == input_.desired.names.base && one.member == facts.admin) set = set || one.set;
  }
  if (set) return;
  add(ActionKind::grant_to_admin, missing(input_), "grant", input_.desired.names.base,
      fmt::format("to {}, which works for it", facts.admin), input_.desired.names.base);
}

void Planner::new_database() {
  const auto& desired = input_.desired;
  const auto& name = desired.database;
  std::string detail = fmt::format("owner {}, ", desired.names.base);
  if (copies_by_template(input_)) {
    detail += fmt::format("template {}, whose sessions are ended", input_.clone->make->from);
  } else {
    detail += "template0, " + desired.encoding;
    if (!desired.locale.empty()) detail += ", locale " + desired.locale;
  }
  if (desired.connection_limit != unlimited_connections)
    detail += fmt::format(", connection limit {}", desired.connection_limit);
  if (finished_before(input_.known) && !copies(input_)) detail = "is gone; made again, empty";
  add(ActionKind::create_database, missing(input_), "database", name, std::move(detail), name,
      std::to_string(desired.connection_limit));
  add(ActionKind::revoke_from_public, Sign::create, "revoke", "database " + name, "CONNECT, TEMPORARY from PUBLIC",
      name);
  grant_connect(name, desired.names.read_only, Sign::create);
  if (admin_needs_connect()) grant_connect(name, input_.server.facts.admin, Sign::create);
  add(ActionKind::open_database, Sign::create, "open", "database " + name, "to its own roles only", name);
}

void Planner::privileges(const ObservedDatabase& database) {
  const auto& names = input_.desired.names;
  const auto of_public = privileges_of(database.acl, "");
  if (!of_public.empty()) {
    if (finished_before(input_.known)) {
      add(ActionKind::revoke_from_public, Sign::drift, "database", database.name,
          fmt::format("PUBLIC may {}", privilege_names(of_public)), database.name);
    } else {
      add(ActionKind::revoke_from_public, Sign::create, "revoke", "database " + database.name,
          privilege_names(of_public) + " from PUBLIC", database.name);
    }
  }
  const auto must_enter = [&](const std::string& role) {
    if (privileges_of(database.acl, role).find('c') == std::string::npos) {
      grant_connect(database.name, role, missing(input_));
    }
  };
  must_enter(names.base);
  must_enter(names.read_only);
  if (admin_needs_connect()) must_enter(input_.server.facts.admin);
}

void Planner::database() {
  const auto& desired = input_.desired;
  const auto* database = input_.server.database(desired.database);
  // What is there under this name is a copy that was interrupted, and goes first.
  const bool stale = input_.clone != nullptr && input_.clone->discard && copies(input_);
  if (database == nullptr || stale) return new_database();
  if (database->owner != desired.names.base) {
    add(ActionKind::set_database_owner, Sign::drift, "database", database->name,
        fmt::format("belongs to {} instead of {}", database->owner, desired.names.base), database->name);
  }
  privileges(*database);
  if (database->connection_limit != desired.connection_limit) {
    add(ActionKind::set_connection_limit, different(input_), "database", database->name,
        fmt::format("connection limit {} → {}", limit_text(database->connection_limit),
                    limit_text(desired.connection_limit)),
        database->name, std::to_string(desired.connection_limit));
  }
  if (!database->allow_connections) {
    if (finished_before(input_.known)) {
      const auto policy =
          notice(DriftField::closed_database, database->name,
                 fmt::format("database {} was closed to connections by somebody; left closed", database->name));
      if (policy == DriftPolicy::fix)
        add(ActionKind::open_database, Sign::drift, "database", database->name, "was closed to connections by somebody",
            database->name);
    } else {
      add(ActionKind::open_database, Sign::create, "open", "database " + database->name, "to its own roles only",
          database->name);
    }
  }
  if (database->encoding != desired.encoding) {
    plan_.notes.push_back(fmt::format("database {} has encoding {}, not {}; an encoding cannot be changed",
                                      database->name, database->encoding, desired.encoding));
  }
  if (!desired.locale.empty() && database->locale != desired.locale) {
    plan_.notes.push_back(fmt::format("database {} has locale {}, not {}; a locale cannot be changed", database->name,
                                      database->locale, desired.locale));
  }
}

void Planner::copy() {
  const auto& clone = *input_.clone;
  if (clone.discard) {
    add(ActionKind::discard_copy, Sign::change, "discard", "database " + clone.discard->database,
        "a copy that was interrupted", clone.discard->database);
  }
  if (!clone.make) return;
  const auto& make = *clone.make;
  const bool by_template = copies_by_template(input_);
  auto detail = fmt::format("from {}/{} ({}), {}", input_.desired.project, make.source, make.from,
                            by_template ? "by template" : "pg_dump | pg_restore");
  if (clone.over) detail += fmt::format("; {} is kept", make.replaces);
  add(clone.over ? ActionKind::copy_over : ActionKind::copy_database, clone.over ? Sign::change : Sign::create, "copy",
      "database " + make.database, std::move(detail), make.database, make.from + (by_template ? " by template" : ""));
}

void sort_actions(DeploymentPlan& plan) {
  std::vector<Action> sorted;
  sorted.reserve(plan.actions.size());
  for (const auto stage :
       {Stage::roles, Stage::discard, Stage::create_database, Stage::database, Stage::copy, Stage::inside,
        Stage::logins, Stage::verify, Stage::rotation, Stage::disable, Stage::sessions}) {
    for (auto& action : plan.actions) {
      if (stage_of(action.kind) == stage) sorted.push_back(std::move(action));
    }
  }
  plan.actions = std::move(sorted);
}

Stage stage_of(ActionKind kind) noexcept {
  if (kind <= ActionKind::grant_to_admin) return Stage::roles;
  if (kind == ActionKind::discard_copy) return Stage::discard;
  if (kind == ActionKind::create_database) return Stage::create_database;
  if (kind <= ActionKind::open_database) return Stage::database;
  if (kind <= ActionKind::copy_over) return Stage::copy;
  if (kind <= ActionKind::create_extension) return Stage::inside;
  if (kind <= ActionKind::set_password) return Stage::logins;
  if (kind == ActionKind::verify_login) return Stage::verify;
  if (kind == ActionKind::rotate_login) return Stage::rotation;
  if (kind == ActionKind::disable_login) return Stage::disable;
  if (kind == ActionKind::write_object) return Stage::cluster;
  return kind == ActionKind::end_sessions ? Stage::sessions : Stage::removal;
}

bool needs_inside_look(const DesiredDeployment& desired, const ObservedServer& server,
                       const store::InventoryEntry* known) {
  const auto* database = server.database(desired.database);
  if (database == nullptr || !database->allow_connections) return false;
  return !finished_before(known) || known->deployment.inputs_hash != desired.inputs_hash();
}

DeploymentPlan plan_server_part(const PlanInput& input) {
  auto plan = headed(input);
  plan.refusal = refusal_of(input);
  if (plan.refusal) return plan;
  if (input.clone != nullptr && input.clone->waiting) {
    plan.waiting = input.clone->waiting;
    return plan;
  }
  // Without the journaled password nobody could be told what the login's password is, and a new one would lock out
  // whoever uses it.
  const bool journaled = input.known != nullptr && current_login(*input.known) != nullptr;
  if (!journaled && input.server.role(input.desired.names.login_a) != nullptr) {
    plan.refusal =
        not_ours(input, "login", input.desired.names.login_a, "exists and its password is not in the control database")
            .with_remedy("restore the control database, or remove that login to get a new one");
    return plan;
  }
  Planner planner(input, plan);
  planner.roles();
  planner.database();
  if (input.clone != nullptr) {
    planner.copy();
    plan.notes.insert(plan.notes.end(), input.clone->notes.begin(), input.clone->notes.end());
  }
  note_foreign_members(input, planner);
  settle_adopted(input, plan);
  settle_drift(input, plan);
  sort_actions(plan);
  return plan;
}

DeploymentPlan plan_deployment(const PlanInput& input) {
  auto plan = plan_server_part(input);
  if (plan.refusal || plan.waiting) return plan;
  const auto* database = input.server.database(input.desired.database);
  if (database == nullptr || copies(input) || (!database->allow_connections && plan.first_time)) {
    plan_inside_part(input, fresh_inside(input.server.facts), plan);
  } else if (input.inside != nullptr) {
    plan_inside_part(input, *input.inside, plan);
  } else if (needs_inside_look(input.desired, input.server, input.known)) {
    if (!input.preview)
      plan.notes.push_back(fmt::format("the inside of database {} could not be looked at yet", database->name));
    plan.to_record = true;
  }
  plan_login_part(input, plan);
  if (!finished_before(input.known) || inputs_changed(input) || copies(input) ||
      input.known->deployment.state != store::DeploymentState::ready) {
    plan.to_record = true;
  }
  return plan;
}

}  // namespace opi::provision
