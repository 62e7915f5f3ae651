// Settings of what becomes of deployments: clone, rotation, removal, drift, history.

#include "app/settings_field_list.hpp"

namespace opi::app {
namespace {

using provision::DriftPolicy;
constexpr std::array<Choice<DriftPolicy>, 3> drift_policies{
    {{DriftPolicy::fix, "fix"}, {DriftPolicy::warn, "warn"}, {DriftPolicy::ignore, "ignore"}}};
/// What belongs to others is not taken away.
constexpr std::array<Choice<DriftPolicy>, 2> mild_policies{
    {{DriftPolicy::warn, "warn"}, {DriftPolicy::ignore, "ignore"}}};
constexpr std::array<Choice<RemovalDefault>, 2> removal_defaults{
    {{RemovalDefault::remove, "remove"}, {RemovalDefault::keep, "keep"}}};

void describe_rotation(FieldList& list, RotationSettings& rotation) {
  constexpr milliseconds off{0};
  list.enter("rotation");
  list.duration("overlap", rotation.overlap, off,
                "How long a login that was replaced stays valid after the new one was published, at the least.");
  list.duration("grace", rotation.grace, off,
                "How long sessions of the old login may go on after that; then they are ended.");
  list.duration("interval", rotation.interval, off,
                "A password older than this is replaced by itself, jittered; 0: only by opi rotate.");
  list.leave();
}

void describe_removal(FieldList& list, RemovalSettings& removal) {
  list.enter("removal");
  list.choice("default", removal.by_default, removal_defaults,
              "What becomes of a database that is not declared any more and whose project file did not say.");
  list.duration("grace", removal.grace, milliseconds{0},
                "From the tombstone (logins disabled, data kept) to the removal.");
  list.number("most", removal.most, 0, 1'000'000,
              "The brake: when more than these go within a day, none goes before somebody confirms it.");
  list.number("most_percent", removal.most_percent, 0, 100,
              "The same as a share of all deployments; a single one never trips it.");
  list.path("dump_directory", removal.dump_directory, optional_file_name,
            "Where the last dump of a database that is removed is kept; empty: none is made.");
  list.text("pg_dump", removal.pg_dump, file_name, "The program that makes it; not older than the server.");
  list.duration("dump_deadline", removal.dump_deadline, milliseconds{1'000}, "Of that dump.");
  list.leave();
}

void describe_drift(FieldList& list, DriftSettings& drift) {
  list.enter("drift");
  for (std::size_t i = 0; i < drift.policies.size(); ++i) {
    const auto field = static_cast<provision::DriftField>(i);
    if (field == provision::DriftField::foreign_members) {
      list.choice(to_string(field), drift.policies[i], mild_policies, std::string(about(field)));
    } else {
      list.choice(to_string(field), drift.policies[i], drift_policies, std::string(about(field)));
    }
  }
  list.leave();
}

void describe_clone(FieldList& list, CloneSettings& clone) {
  list.enter("clone");
  list.text(
      "pg_dump", clone.pg_dump, file_name,
      "What clone-from copies with: a path, or a name in /usr/local/bin, /usr/bin or /bin; not older than the server.");
  list.text("pg_restore", clone.pg_restore, file_name, "Its other half; not older than pg_dump.");
  list.duration("timeout", clone.timeout, milliseconds{1'000}, "Of one copy.");
  list.leave();
}

void describe_history(FieldList& list, HistorySettings& history) {
  list.enter("history");
  list.duration("retention", history.retention, milliseconds{0},
                "How long it is kept what was done, by whom and how it ended; 0: for ever.");
  list.leave();
}

}  // namespace

void describe_provisioning(FieldList& list, Settings& settings) {
  describe_clone(list, settings.clone);
  describe_rotation(list, settings.rotation);
  describe_removal(list, settings.removal);
  describe_drift(list, settings.drift);
  describe_history(list, settings.history);
}

}  // namespace opi::app
