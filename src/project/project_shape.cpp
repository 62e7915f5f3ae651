#include "project/shape.hpp"

namespace opi::project {
namespace {

constexpr std::int64_t port_max = 65'535;

ShapePointer config() {
  const ShapePointer keycloak = open_record_of({
      optional("host", string_of(formats::line), "Of the identity provider."),
      optional("realm", string_of(formats::line), "The project's realm."),
      optional("username", string_of(formats::line), "Of its administrator."),
      optional("password", string_of(formats::secret), "Of its administrator."),
  });
  return record_of({
      optional("age-public-key", string_of(formats::age_recipient), "The project's recipient."),
      optional("sops-public-key", string_of(formats::age_recipient), "Old name of age-public-key.",
               layout_2025 | version_1),
      optional("age-private-key", string_of(formats::sealed), "The project's key, sealed to the platform's."),
      optional("api-key", string_of(formats::sealed), "The project's API key, sealed to the project's key."),
      optional("keycloak", choice_of({list_of(keycloak), keycloak}), "Written by the platform."),
  });
}

ShapePointer user(Layouts layout) {
  return record_of({
      required("email", string_of(formats::email), "Who."),
      layout == layout_2025 ? optional("role", string_of(formats::line), "What for.")
                            : optional("role", word_of({"admin", "owner", "member", "developer"}), "What for."),
  });
}

ShapePointer repository(const Format& url) {
  return record_of({
      required("name", string_of(formats::line), "What deployments refer to."),
      required("url", string_of(url), "Where it is. Kept, never contacted by this program."),
      optional("username", string_of(formats::line), "For http."),
      optional("password", string_of(formats::secret), "Sealed to the platform's key."),
      optional("branch", string_of(formats::branch), "main when not given."),
      optional("path", string_of(formats::relative_path), ". when not given."),
      optional("ssh_key_path", string_of(formats::line), "Kept, never read."),
  });
}

ShapePointer remote_source() {
  const ShapePointer tunnel = record_of({
      optional("server-url", string_of(formats::line), "Of the tunnel."),
      optional("username", string_of(formats::line), "Of the tunnel."),
      optional("password", string_of(formats::secret), "Of the tunnel."),
  });
  const ShapePointer database = record_of({
      optional("host", string_of(formats::domain), "Of the server."),
      optional("port", integer_of(1, port_max), "Of the server."),
      optional("username", string_of(formats::identifier), "Who logs in."),
      optional("password", string_of(formats::secret), "Of the user."),
      optional("database", string_of(formats::identifier), "What is copied."),
      optional("schema", string_of(formats::identifier), "What is copied."),
  });
  return record_of({
      required("name", string_of(formats::label), "What clone-from refers to."),
      optional("chisel", tunnel, "The way to it."),
      optional("tunnel", tunnel, "The way to it."),
      optional("services",
               record_of({
                   optional("postgresql-database", database, "A database."),
                   optional("minio-storage", open_record_of({}), "A bucket."),
               }),
               "What it has."),
  });
}

ShapePointer domains() {
  const ShapePointer domain = choice_of({
      string_of(formats::line),
      open_record_of({
          optional("name", string_of(formats::line), "The domain."),
          optional("domain", string_of(formats::line), "The domain."),
          optional("status", word_of({"requested", "approved", "denied"}), "What was decided."),
          optional("history", anything(), "Who decided when."),
      }),
  });
  return record_of({
      optional("allowed-subdomains", list_of(domain), "Subdomains it may use."),
      optional("allowed-domains", list_of(domain), "Domains it may use."),
  });
}

/// A part whose inside belongs to another program: its kind is checked and it is kept.
ShapePointer named_list() {
  return list_of(
      choice_of({string_of(formats::line), open_record_of({
                                               optional("name", string_of(formats::line), "Its name."),
                                               optional("password", string_of(formats::secret), "Not shown."),
                                           })}));
}

}  // namespace

ShapePointer project_shape() {
  static const ShapePointer shape = record_of({
      optional("schema-version", anything(), "1, 2 or 2.1 to 2.9; not there in the layout of 2025.", layout_2026),
      required("name", string_of(formats::project_name_2025), "The technical name.", layout_2025),
      required("name", string_of(formats::project_name_2026), "The technical name.", layout_2026),
      optional("display-name", string_of(formats::line), "For people."),
      optional("description", string_of(formats::text), "For people."),
      optional("clusters", list_of(string_of(formats::cluster)), "Where its deployments may run."),
      optional("services", list_of(project_service_shape()),
               "What the project wants, with the settings for all of it."),
      optional("config", config(), "Its keys."),
      optional("users", list_of(user(layout_2025)), "Who may do what.", layout_2025),
      optional("users", list_of(user(layout_2026)), "Who may do what.", layout_2026),
      optional("repositories", list_of(repository(formats::repository_url)), "Where manifests go.", layout_2025),
      optional("repositories", list_of(repository(formats::url)), "Where manifests go.", layout_2026),
      optional("components", list_of(component_shape()), "What deployments are made of."),
      optional("deployments", list_of(deployment_shape()), "What runs."),
      optional("registries", named_list(), "Where images come from.", layout_2026),
      optional("helm-charts", named_list(), "Charts that are deployed beside the components.", layout_2026),
      optional("helmfile", anything(), "Charts in one file.", layout_2026),
      optional("remote-sources", list_of(remote_source()), "What can be copied from elsewhere.", layout_2026),
      optional("invites", named_list(), "Who is asked to join.", layout_2026),
      optional("backup", open_record_of({optional("enabled", boolean(), "On or off.")}), "Of its data.", layout_2026),
      optional("domains", domains(), "What it may be published as.", layout_2026),
  });
  return shape;
}

}  // namespace opi::project
