#include "project/shape.hpp"

namespace opi::project {
namespace {

constexpr std::int64_t port_max = 65'535;

ShapePointer ports() {
  return record_of({
      optional("inbound", list_of(integer_of(1, port_max)),
               "Ports the component listens on; the first one is published."),
      optional("outbound", list_of(integer_of(1, port_max)), "Ports it connects to."),
  });
}

ShapePointer storage() {
  return list_of(record_of({
      optional("name", string_of(formats::label), "Of the volume."),
      required("type", word_of({"persistent", "ephemeral"}),
               "A claim that stays, or a directory that goes with its pod."),
      optional("size", quantity(), "Of the volume."),
      optional("mount-path", string_of(formats::absolute_path), "Where the container sees it."),
  }));
}

ShapePointer security() {
  constexpr std::int64_t id_max = 4'294'967'294;
  return record_of({
      optional("run-as-user", integer_of(0, id_max), "User id of the container."),
      optional("run-as-group", integer_of(0, id_max), "Group id of the container."),
      optional("fs-group", integer_of(0, id_max), "Group id of its volumes."),
  });
}

ShapePointer web_path() {
  return choice_of({string_of(formats::absolute_path),
                    record_of({
                        optional("match", string_of(formats::absolute_path), "The path that is routed here."),
                        optional("rewrite", string_of(formats::absolute_path), "What it becomes."),
                    })});
}

}  // namespace

ShapePointer environment_variables_shape() {
  return choice_of({string_of(formats::secret), map_of(formats::variable_name, scalar_of(formats::variable_value))});
}

ShapePointer resources_shape() {
  const ShapePointer amounts = record_of({
      optional("cpu", quantity(), "Processor time."),
      optional("memory", quantity(), "Memory."),
  });
  return record_of({
      optional("cpu", quantity(), "Processor time."),
      optional("memory", quantity(), "Memory."),
      optional("requests", amounts, "What is set aside.", layout_2026),
      optional("limits", amounts, "What is the most.", layout_2026),
      optional("history", anything(), "Earlier values.", layout_2026),
      optional("requests-history", anything(), "Earlier values.", layout_2026),
      optional("limits-history", anything(), "Earlier values.", layout_2026),
  });
}

ShapePointer component_shape() {
  return record_of({
      required("name", string_of(formats::label), "Unique in the project; what deployments refer to."),
      optional("type", word_of({"deployment", "cronjob", "daemonset"}), "The sort of workload."),
      optional("description", string_of(formats::text), "For people."),
      optional("ports", ports(), "What it listens on and connects to."),
      optional("uses-services", list_of(word_of(service_names())), "Names of services.", layout_2025 | version_1),
      optional("services", list_of(component_service_shape()), "The services it uses.", layout_2026),
      optional("uses-components", list_of(string_of(formats::label)), "Names of other components."),
      optional("storage", storage(), "Its volumes.", layout_2025 | version_1),
      optional("resources", resources_shape(), "What it needs."),
      optional("image", string_of(formats::image), "Where deployments name none."),
      optional("user-env-vars", environment_variables_shape(), "An AGE block, or names and values."),
      optional("publish-on-web", boolean(), "Old form of the service.", layout_2025 | version_1),
      optional("sso-rijk", boolean(), "Old form of the service.", layout_2025 | version_1),
      optional("path", web_path(), "The path it is published at.", layout_2026),
      optional("security", security(), "The ids it runs with.", layout_2026),
      optional("command", choice_of({string_of(formats::text), list_of(string_of(formats::text))}),
               "Instead of the image's own.", layout_2026),
      optional("args", choice_of({string_of(formats::text), list_of(string_of(formats::text))}), "Of the command.",
               layout_2026),
      optional("aliases", anything(), "Further names it is reached by.", layout_2026),
      optional("auto-tune-resources", boolean(), "Lets the platform adjust the resources.", layout_2026),
      optional("disabled", boolean(), "Not deployed.", layout_2026),
      optional("disabled-reason", string_of(formats::text), "Why.", layout_2026),
  });
}

}  // namespace opi::project
