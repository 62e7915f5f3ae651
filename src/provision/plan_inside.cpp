// The part of the planner that looks inside a database.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "provision/plan_parts.hpp"

namespace opi::provision {
namespace {

class InsidePlanner {
 public:
  InsidePlanner(const PlanInput& input, const ObservedInside& inside, DeploymentPlan& plan)
      : input_(input), inside_(inside), plan_(plan), database_(input.desired.database) {}

  void schema(const std::string& name);
  void leaving_schema(const std::string& name);
  void public_schema();
  void defaults();
  void extension(const std::string& name);
  void foreign_objects();

 private:
  void add(ActionKind kind, Sign sign, std::string object, std::string name, std::string detail, std::string subject) {
    plan_.actions.push_back({kind, sign, std::move(object), std::move(name), std::move(detail), std::move(subject)});
  }
  /// What is ours by its name and was not there when we left is new, unless a finished pass with these very inputs made
  /// it.
  Sign missing() const {
    const bool same = input_.known != nullptr && input_.known->deployment.ready_at &&
                      input_.known->deployment.inputs_hash == input_.desired.inputs_hash();
    return same ? Sign::drift : Sign::create;
  }
  bool reader_may(char object, char privilege) const;

  const PlanInput& input_;
  const ObservedInside& inside_;
  DeploymentPlan& plan_;
  const std::string& database_;
};

void InsidePlanner::schema(const std::string& name) {
  const auto& names = input_.desired.names;
  const auto* found = inside_.schema(name);
  if (found == nullptr) {
    add(ActionKind::create_schema, missing(), "schema", name, "in " + database_, name);
  } else if (found->owner != names.base) {
    add(ActionKind::set_schema_owner, Sign::drift, "schema", name,
        fmt::format("belongs to {} instead of {}", found->owner, names.base), name);
  }
  // Only its owner can grant on it, which it does not become while we only add.
  const bool not_yet = found != nullptr && found->owner != names.base && input_.known != nullptr &&
                       input_.known->deployment.adoption == store::Adoption::additive;
  if (not_yet) return;
  if (found == nullptr || privileges_of(found->acl, names.read_only).find('U') == std::string::npos) {
    add(ActionKind::grant_schema_usage, missing(), "grant", "schema " + name, "USAGE to " + names.read_only, name);
  }
}

/// Data is never dropped here: whoever marks a schema empties it, or lets it be.
void InsidePlanner::leaving_schema(const std::string& name) {
  const auto* found = inside_.schema(name);
  if (found == nullptr) return;
  if (found->owner != input_.desired.names.base) {
    plan_.notes.push_back(
        fmt::format("schema {} is marked for deletion and belongs to {}; left so", name, found->owner));
  } else if (found->objects != 0) {
    plan_.notes.push_back(fmt::format(
        "schema {} is marked for deletion and goes when it is empty; {} objects are in it", name, found->objects));
  } else {
    add(ActionKind::drop_schema, Sign::remove, "schema", name, "marked for deletion, and empty", name);
  }
}

void InsidePlanner::public_schema() {
  const auto* found = inside_.schema("public");
  if (found == nullptr) return;
  const auto rights = privileges_of(found->acl, "");
  if (rights.empty()) return;
  if (!found->manageable) {
    plan_.notes.push_back(
        fmt::format("schema public of {} belongs to {}, so PUBLIC keeps {} in it; only its own roles can connect",
                    database_, found->owner, privilege_names(rights)));
    return;
  }
  if (plan_.first_time) {
    add(ActionKind::revoke_public_schema, Sign::create, "revoke", "schema public",
        privilege_names(rights) + " from PUBLIC", "public");
  } else {
    add(ActionKind::revoke_public_schema, Sign::drift, "schema", "public",
        fmt::format("PUBLIC may {}", privilege_names(rights)), "public");
  }
}

bool InsidePlanner::reader_may(char object, char privilege) const {
  for (const auto& one : inside_.defaults) {
    if (one.owner != input_.desired.names.base || !one.schema.empty() || one.object != object) continue;
    if (privileges_of(one.acl, input_.desired.names.read_only).find(privilege) != std::string::npos) return true;
  }
  return false;
}

void InsidePlanner::defaults() {
  const auto& names = input_.desired.names;
  if (reader_may('r', 'r') && reader_may('S', 'r')) return;
  add(ActionKind::default_privileges, missing(), "defaults", database_,
      fmt::format("what {} makes, {} may read", names.base, names.read_only), names.base);
}

void InsidePlanner::extension(const std::string& name) {
  if (std::ranges::find(inside_.extensions, name) != inside_.extensions.end()) return;
  add(ActionKind::create_extension, missing(), "extension", name,
      fmt::format("in schema {}", input_.desired.names.base), name);
}

/// Only of what was there before us: a tenant's own objects are the tenant's business.
void InsidePlanner::foreign_objects() {
  for (const auto& object : inside_.foreign_objects) {
    plan_.actions.push_back(
        {ActionKind::reown_object, Sign::change, "owner", object.identity,
         fmt::format("{} belongs to {} instead of {}", object.type, object.owner, input_.desired.names.base),
         object.identity, object.type});
  }
}

}  // namespace

void plan_inside_part(const PlanInput& input, const ObservedInside& inside, DeploymentPlan& plan) {
  InsidePlanner planner(input, inside, plan);
  for (const auto& name : input.desired.leaving) planner.leaving_schema(name);
  for (const auto& name : input.desired.schemas) planner.schema(name);
  planner.public_schema();
  planner.defaults();
  for (const auto& name : input.desired.extensions) planner.extension(name);
  planner.foreign_objects();
  settle_adopted(input, plan);
  settle_drift(input, plan);
}

}  // namespace opi::provision
