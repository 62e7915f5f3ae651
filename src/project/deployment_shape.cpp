#include "project/shape.hpp"

namespace opi::project {
namespace {

constexpr std::int64_t generation_max = 999;

ShapePointer revisions() {
  const ShapePointer actions = open_record_of({
      optional("type", string_of(formats::word), "What was done."),
      optional("source", string_of(formats::line), "From what."),
      optional("timestamp", string_of(formats::line), "When."),
  });
  return list_of(record_of({
      optional("generation", integer_of(0, generation_max), "Its number."),
      optional("resource", string_of(formats::line), "Name of the resource."),
      optional("resource-name", string_of(formats::line), "Name of the resource."),
      optional("resource_name", string_of(formats::line), "Name of the resource."),
      optional("status", string_of(formats::word), "What became of it."),
      optional("created_at", string_of(formats::line), "When it was made."),
      optional("superseded_at", string_of(formats::line), "When another took its place."),
      optional("actions", choice_of({actions, list_of(actions)}), "What was done to it."),
  }));
}

ShapePointer deployment_services() {
  return list_of(record_of({
      required("reference", word_of(service_names()), "The service."),
      optional("config",
               open_record_of({
                   optional("generation", integer_of(0, generation_max), "The one in use."),
                   optional("revisions", revisions(), "Earlier ones and this."),
               }),
               "What is recorded of it."),
  }));
}

ShapePointer component_entry() {
  return record_of({
      required("reference", string_of(formats::label), "Name of a component."),
      optional("image", string_of(formats::image), "What runs."),
      optional("env-vars", environment_variables_shape(), "Override the component's."),
      optional("user-env-vars", environment_variables_shape(), "Override the component's.", layout_2026),
      optional("imagePullPolicy", word_of({"Always", "IfNotPresent", "Never"}), "As Kubernetes has it.", layout_2026),
      optional("registry", string_of(formats::line), "Name of a registry.", layout_2026),
      optional("disabled", boolean(), "Not deployed.", layout_2026),
      optional("disabled-reason", string_of(formats::text), "Why.", layout_2026),
      optional("services", anything(), "Services' settings for this deployment.", layout_2026),
      optional("resources", resources_shape(), "For this deployment.", layout_2026),
      optional("command", choice_of({string_of(formats::text), list_of(string_of(formats::text))}),
               "For this deployment.", layout_2026),
  });
}

ShapePointer clone_from_2026() {
  const ShapePointer status = record_of({
      optional("completed", boolean(), "Done."),
      optional("timestamp", string_of(formats::line), "When."),
      optional("in-progress", boolean(), "Begun."),
  });
  return record_of({
      optional("type", word_of({"deployment", "remote-source", "backup"}), "What is copied."),
      required("reference", string_of(formats::line), "Which one."),
      optional("mode", word_of({"once", "always"}), "Once and never again, or on every change."),
      optional("status", status, "What is recorded of it."),
      optional("backup_items", anything(), "Of a backup: what is restored."),
  });
}

ShapePointer sleep() {
  return open_record_of({
      optional("state", string_of(formats::word), "Asleep or awake."),
      optional("expires-at", string_of(formats::line), "When."),
      optional("wake-token", string_of(formats::secret), "Who may wake it."),
  });
}

}  // namespace

ShapePointer deployment_shape() {
  return record_of({
      required("name", string_of(formats::label), "Unique in the project; its database is {project}_{deployment}."),
      optional("cluster", string_of(formats::cluster),
               "Where it runs; the one of `clusters` when that has exactly one."),
      optional("namespace", string_of(formats::label),
               "Without the cluster's prefix; the project's name when not given."),
      optional("repository", string_of(formats::line), "Name of one of the repositories."),
      optional("components", list_of(component_entry()), "What it consists of."),
      optional("subdomain", string_of(formats::label), "A further host name."),
      optional("clone-from", string_of(formats::label), "Name of the deployment that is copied.", layout_2025),
      optional("clone-from", clone_from_2026(), "What is copied.", layout_2026),
      optional("force-clone", boolean(), "Copies once more, into a new database; the one before is kept."),
      optional("clone-method", word_of({"dump", "template"}),
               "How it is copied: dump, or template, which is faster and ends the source's sessions."),
      optional("configuration", string_of(formats::secret), "Written by the platform."),
      optional("services", deployment_services(), "What is recorded of its services.", layout_2026),
      optional("base-domain", string_of(formats::domain), "Of its host names.", layout_2026),
      optional("domain-mode", string_of(formats::word), "How host names are made.", layout_2026),
      optional("domain-format", string_of(formats::line), "How host names are made.", layout_2026),
      optional("root-component", string_of(formats::label), "The component at /.", layout_2026),
      optional("issuer", string_of(formats::line), "Of certificates.", layout_2026),
      optional("backup", choice_of({boolean(), open_record_of({optional("enabled", boolean(), "On or off.")})}),
               "Of its data.", layout_2026),
      optional("sleep", sleep(), "Whether it rests.", layout_2026),
  });
}

}  // namespace opi::project
