#include "provision/clone.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "provision/sha256.hpp"

namespace opi::provision {
namespace {

using project::CloneFrom;

constexpr int generation_max = 999;  // names have room for three digits

Error about(const DesiredDeployment& desired, ErrorKind kind, const std::string& what) {
  return Error(kind, desired.title() + ": clone: " + what).at(desired.clone->place);
}

/// One copy's own name: the declaration, and for what is repeated what repeats it.
std::string instruction_of(const DesiredDeployment& desired) {
  const auto& clone = *desired.clone;
  std::string form = fmt::format("clone 1\n{}\n{}\n", clone.source, clone.by_template ? "template" : "dump");
  if (clone.mode == CloneFrom::Mode::always) {
    form += "always\n" + desired.source.blob;
  } else if (clone.force) {
    form += "force";
  } else {
    form += "once";
  }
  return sha256_hex(form);
}

bool has_database(const CloneInput& input) {
  return input.known != nullptr && input.known->deployment.ready_at.has_value() && input.database_there;
}

bool wanted_now(const CloneInput& input, const std::string& instruction, CloneDecision& decision) {
  const auto& clone = *input.desired.clone;
  if (!has_database(input)) return true;
  const bool done = input.record != nullptr && input.record->state == store::CloneState::done;
  if (done && input.record->instruction == instruction) return false;
  if (clone.force || clone.mode == CloneFrom::Mode::always) return true;
  if (!done) {
    decision.notes.push_back(fmt::format(
        "its database was there before clone-from; it is not replaced (force-clone makes a copy of {}/{} in its place)",
        input.desired.project, clone.source));
  }
  return false;
}

/// Why it cannot be copied from, now or ever.
void judge_source(const CloneInput& input, CloneDecision& decision) {
  const auto& desired = input.desired;
  const auto& clone = *desired.clone;
  const auto name = desired.project + "/" + clone.source;
  if (input.source == nullptr || !input.source->deployment.ready_at ||
      input.source->deployment.state != store::DeploymentState::ready) {
    if (input.coming != nullptr && !input.coming->refusal) return;
    decision.waiting = about(desired, ErrorKind::unavailable, fmt::format("waits until {} is ready", name));
    return;
  }
  const auto& source = input.source->deployment;
  if (input.known != nullptr && input.known->deployment.server_id != source.server_id) {
    decision.refusal = about(desired, ErrorKind::unsupported,
                             fmt::format("{} lives on another server (pool \"{}\")", name, source.pool))
                           .with_remedy("clone from a deployment on the same server")
                           .handled_by(Handling::needs_person);
  }
}

void plan_copy(const CloneInput& input, std::string instruction, CloneDecision& decision) {
  const auto& desired = input.desired;
  const auto& clone = *desired.clone;
  judge_source(input, decision);
  if (decision.refusal || decision.waiting) return;
  decision.needs_versions = !clone.by_template && input.versions == nullptr;
  if (!clone.by_template && input.versions != nullptr) {
    if (auto refusal = tools_refusal(*input.versions, *input.tools, input.server_version)) {
      decision.refusal = std::move(*refusal).while_doing(desired.title() + ": clone").at(clone.place);
      return;
    }
  }
  decision.over = has_database(input);
  const int before = input.known == nullptr ? 0 : input.known->deployment.generation;
  const int generation = decision.over ? before + 1 : before;
  if (generation > generation_max) {
    decision.refusal = about(desired, ErrorKind::exhausted, fmt::format("has had {} generations", generation_max))
                           .with_remedy("rename the deployment")
                           .handled_by(Handling::needs_person);
    return;
  }
  store::CloneRecord make{.deployment_id = input.known == nullptr ? 0 : input.known->deployment.id};
  make.instruction = std::move(instruction);
  make.source = clone.source;
  make.from = input.source != nullptr ? input.source->deployment.database_name : input.coming->database;
  make.generation = generation;
  make.database = generation_name(desired.names.base, generation);
  if (decision.over) make.replaces = input.known->deployment.database_name;
  decision.make = std::move(make);
}

}  // namespace

CloneDecision decide_clone(const CloneInput& input) {
  CloneDecision decision;
  const bool open = input.record != nullptr && input.record->state < store::CloneState::done;
  const auto instruction = input.desired.clone ? instruction_of(input.desired) : std::string();
  // A copy that is whole goes on, when it is still what is asked for; every other one goes away.
  if (open && input.record->state == store::CloneState::copied && input.record->instruction == instruction &&
      input.source != nullptr) {
    decision.make = *input.record;
    decision.over = has_database(input);
    return decision;
  }
  if (open) decision.discard = *input.record;
  if (!input.desired.clone) return decision;
  if (!wanted_now(input, instruction, decision)) return decision;
  plan_copy(input, instruction, decision);
  return decision;
}

std::string generation_name(const std::string& base, int generation) {
  return generation == 0 ? base : fmt::format("{}_v{}", base, generation);
}

std::vector<std::pair<std::string, std::string>> renamed_schemas(const DesiredDeployment& desired,
                                                                 const std::string& source_base) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& schema : desired.schemas) {
    // An extra schema is {base}_{postfix} on both sides.
    if (schema.starts_with(desired.names.base))
      pairs.emplace_back(source_base + schema.substr(desired.names.base.size()), schema);
  }
  return pairs;
}

}  // namespace opi::provision
