#include "provision/observed_state.hpp"

namespace opi::provision {

ObservedInside fresh_inside(const ServerFacts& facts) {
  // Until 14 template0's schema "public" belongs to whoever ran initdb and PUBLIC may create in it; since 15 it belongs
  // to the database's owner and PUBLIC has USAGE only.
  ObservedSchema schema{.name = "public"};
  if (facts.version >= 150000) {
    schema.owner = "pg_database_owner";
    schema.acl = {{.grantee = "", .privileges = "U", .grantor = schema.owner}};
  } else {
    schema.owner = "postgres";
    schema.acl = {{.grantee = "", .privileges = "UC", .grantor = schema.owner}};
    schema.manageable = facts.superuser;
  }
  return {.schemas = {std::move(schema)}, .extensions = {"plpgsql"}};
}

}  // namespace opi::provision
