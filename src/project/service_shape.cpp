#include <utility>

#include "project/shape.hpp"

namespace opi::project {
namespace {

/// services[].postgresql-database.config at the project: the original's fields, and ours (pool, connection-limit,
/// extensions, encoding, locale, read-only-login, deletion).
ShapePointer database_config() {
  const ShapePointer schema = record_of({
      required("postfix", string_of(formats::postfix), "The schema is named {project}_{deployment}_{postfix}."),
      optional("description", string_of(formats::text), "For people."),
      optional("marked-for-deletion", boolean(),
               "Asks for the schema to be removed: it goes when nothing is in it any more."),
  });
  return record_of({
      optional("schemas", list_of(schema), "Schemas beside the default one, in every deployment's database."),
      optional("pool", string_of(formats::pool), "The named pool (server) the databases live on; main when not given."),
      optional("connection-limit", integer_of(1, 100'000), "CONNECTION LIMIT of each deployment's database."),
      optional("extensions", list_of(string_of(formats::extension)), "Extensions created in each database."),
      optional("encoding", string_of(formats::word), "Encoding of a database that is made; UTF8 when not given."),
      optional("locale", string_of(formats::word),
               "LC_COLLATE and LC_CTYPE of a database that is made; the server's own when not given."),
      optional("read-only-login", boolean(), "The read-only role may log in, with a password of its own."),
      optional(
          "deletion", word_of({"keep", "remove"}),
          "What becomes of the database when its deployment leaves the file: kept, or removed after the grace period."),
      optional("scope", word_of({"shared", "project"}),
               "A database on the shared server, or a server of the project's own."),
      optional("image", string_of(formats::image), "Own server: its image."),
      optional("instances", integer_of(1, 100), "Own server: how many instances."),
      optional("storage", choice_of({quantity(), open_record_of({})}), "Own server: its storage."),
      optional("resources", resources_shape(), "Own server: its resources."),
      optional("privileges", list_of(string_of(formats::line)), "Own server: privileges of the user; not acted on."),
      optional("postInitSQL", list_of(string_of(formats::text)),
               "Own server: statements; never executed by this program."),
      optional("registry", string_of(formats::line), "Own server: the registry of its image."),
  });
}

/// What a component may not say about its database, for it would be ignored.
ShapePointer component_database_config() {
  std::vector<Field> fields;
  for (const char* name : {"schemas", "pool", "connection-limit", "extensions", "encoding", "locale", "read-only-login",
                           "deletion", "scope"}) {
    fields.push_back(refused(name, "belongs to postgresql-database in the project's services"));
  }
  return open_record_of(std::move(fields));
}

ShapePointer storage_config() {
  return open_record_of({
      optional("name", string_of(formats::label), "Of the volume."),
      optional("size", quantity(), "Of the volume."),
      optional("mount-path", string_of(formats::absolute_path), "Where the container sees it."),
  });
}

ShapePointer service_of(std::vector<Field> configs) {
  return std::make_shared<const Shape>(
      Shape{.kind = ShapeKind::service, .words = service_names(), .fields = std::move(configs)});
}

}  // namespace

const std::vector<std::string>& service_names() {
  static const std::vector<std::string> names{
      "publish-on-web",
      "sso-rijk",
      "persistent-storage",
      "temp-storage",
      "postgresql-database",
      "minio-storage",
      "redis",
      "namespace-redis",
      "namespace-postgresql-database",
      "keycloak",
      "authorization-wall",
      "attachments",
      "send-email",
      "health-check",
      "metrics-scraper",
      "sleep-mode",
      "cross-domain-access",
      "image-registries",
      "invite",
      "aliases",
      "vlam",
  };
  return names;
}

ShapePointer project_service_shape() {
  return service_of({optional("postgresql-database", database_config(), "Databases of the project.")});
}

ShapePointer component_service_shape() {
  return service_of({
      optional("postgresql-database", component_database_config(), "The component uses the deployment's database."),
      optional("persistent-storage", storage_config(), "A volume that stays."),
      optional("temp-storage", storage_config(), "A volume that goes with its pod."),
  });
}

}  // namespace opi::project
