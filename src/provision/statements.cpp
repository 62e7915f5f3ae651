#include "provision/statements.hpp"

#include <fmt/format.h>

#include "pg/quote.hpp"

namespace opi::provision {
namespace {

using pg::quote_identifier;
using pg::quote_literal;

std::string comment_on(const std::string& role, const StatementContext& context) {
  return fmt::format("COMMENT ON ROLE {} IS {}", quote_identifier(role), quote_literal(context.stamp));
}

std::string membership(const std::string& role, const std::string& member, const ServerFacts& facts) {
  return fmt::format("GRANT {} TO {}{}", quote_identifier(role), quote_identifier(member),
                     facts.version >= 160000 ? " WITH INHERIT TRUE, SET TRUE" : "");
}

/// On 16 and later `createrole_self_grant` has granted the new role to the admin who made it; before, the admin does it
/// itself.
void grant_to_admin(std::vector<std::string>& statements, const std::string& role, const StatementContext& context) {
  if (context.facts.superuser) return;
  if (context.facts.version < 160000) statements.push_back(membership(role, context.facts.admin, context.facts));
}

std::string set_role(const std::string& login, const DesiredDeployment& desired) {
  return fmt::format("ALTER ROLE {} IN DATABASE {} SET role = {}", quote_identifier(login),
                     quote_identifier(desired.database), quote_literal(desired.names.base));
}

std::string set_search_path(const std::string& login, const DesiredDeployment& desired) {
  std::string path;
  for (const auto& schema : desired.schemas) path += (path.empty() ? "" : ", ") + quote_identifier(schema);
  return fmt::format("ALTER ROLE {} IN DATABASE {} SET search_path = {}", quote_identifier(login),
                     quote_identifier(desired.database), path);
}

std::vector<std::string> create_login(const Action& action, const StatementContext& context) {
  const auto& login = action.subject;
  const auto& owner = context.desired.names.base;
  const std::string rights = action.value == "LOGIN"
                                 ? fmt::format("LOGIN PASSWORD {}", quote_literal(context.verifier_of(login)))
                                 : std::string("NOLOGIN");
  return {fmt::format("CREATE ROLE {} {}", quote_identifier(login), rights), comment_on(login, context),
          membership(owner, login, context.facts), set_role(login, context.desired),
          set_search_path(login, context.desired)};
}

std::vector<std::string> create_group(const Action& action, const StatementContext& context) {
  std::vector<std::string> statements{fmt::format("CREATE ROLE {} NOLOGIN", quote_identifier(action.subject)),
                                      comment_on(action.subject, context)};
  if (action.kind == ActionKind::create_owner) grant_to_admin(statements, action.subject, context);
  return statements;
}

std::string create_database(const Action& action, const StatementContext& context) {
  const bool copied = !context.template_database.empty();
  std::string sql = fmt::format("CREATE DATABASE {} OWNER {} TEMPLATE {}", quote_identifier(action.subject),
                                quote_identifier(context.desired.names.base),
                                copied ? quote_identifier(context.template_database) : "template0");
  if (!copied) sql += " ENCODING " + quote_literal(context.desired.encoding);
  sql += " ALLOW_CONNECTIONS false";
  if (!copied && !context.desired.locale.empty()) {
    const auto locale = quote_literal(context.desired.locale);
    sql += fmt::format(" LC_COLLATE {0} LC_CTYPE {0}", locale);
  }
  if (action.value != "-1") sql += " CONNECTION LIMIT " + action.value;
  return sql;
}

std::vector<std::string> inside(const Action& action, const StatementContext& context) {
  const auto& names = context.desired.names;
  const auto owner = quote_identifier(names.base);
  const auto reader = quote_identifier(names.read_only);
  const auto subject = quote_identifier(action.subject);
  switch (action.kind) {
    case ActionKind::drop_schema: return {"DROP SCHEMA " + subject};
    case ActionKind::create_schema: return {fmt::format("CREATE SCHEMA {} AUTHORIZATION {}", subject, owner)};
    case ActionKind::set_schema_owner: return {fmt::format("ALTER SCHEMA {} OWNER TO {}", subject, owner)};
    // Both come from the server, which has quoted what needs it.
    case ActionKind::reown_object: return {fmt::format("ALTER {} {} OWNER TO {}", action.value, action.subject, owner)};
    case ActionKind::revoke_public_schema: return {"REVOKE ALL ON SCHEMA public FROM PUBLIC"};
    case ActionKind::grant_schema_usage: return {fmt::format("GRANT USAGE ON SCHEMA {} TO {}", subject, reader)};
    case ActionKind::default_privileges:
      return {fmt::format("ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT SELECT ON TABLES TO {}", owner, reader),
              fmt::format("ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT SELECT ON SEQUENCES TO {}", owner, reader)};
    case ActionKind::create_extension: return {fmt::format("CREATE EXTENSION {} SCHEMA {}", subject, owner)};
    default: return {};
  }
}

std::string enable_login(const Action& action) {
  return fmt::format("ALTER ROLE {} LOGIN{}", quote_identifier(action.subject),
                     action.value == "expired" ? " VALID UNTIL 'infinity'" : "");
}

std::vector<std::string> of_database(const Action& action, const StatementContext& context) {
  const auto subject = quote_identifier(action.subject);
  switch (action.kind) {
    case ActionKind::create_database: return {create_database(action, context)};
    case ActionKind::set_database_owner:
      return {fmt::format("ALTER DATABASE {} OWNER TO {}", subject, quote_identifier(context.desired.names.base))};
    case ActionKind::revoke_from_public: return {fmt::format("REVOKE ALL ON DATABASE {} FROM PUBLIC", subject)};
    case ActionKind::grant_connect:
      return {fmt::format("GRANT CONNECT ON DATABASE {} TO {}", subject, quote_identifier(action.value))};
    case ActionKind::set_connection_limit:
      return {fmt::format("ALTER DATABASE {} CONNECTION LIMIT {}", subject, action.value)};
    case ActionKind::open_database: return {fmt::format("ALTER DATABASE {} ALLOW_CONNECTIONS true", subject)};
    default: return {};
  }
}

std::vector<std::string> of_roles(const Action& action, const StatementContext& context) {
  const auto subject = quote_identifier(action.subject);
  const auto& owner = context.desired.names.base;
  switch (action.kind) {
    case ActionKind::create_owner:
    case ActionKind::create_read_only: return create_group(action, context);
    case ActionKind::stamp_role: return {comment_on(action.subject, context)};
    case ActionKind::restrict_role: return {fmt::format("ALTER ROLE {} {}", subject, action.value)};
    case ActionKind::grant_to_admin: return {membership(action.subject, context.facts.admin, context.facts)};
    case ActionKind::create_login: return create_login(action, context);
    case ActionKind::enable_login: return {enable_login(action)};
    case ActionKind::grant_owner: return {membership(owner, action.subject, context.facts)};
    case ActionKind::set_login_role: return {set_role(action.subject, context.desired)};
    case ActionKind::set_search_path: return {set_search_path(action.subject, context.desired)};
    case ActionKind::disable_login: return {fmt::format("ALTER ROLE {} NOLOGIN", subject)};
    case ActionKind::set_password:
      return {fmt::format("ALTER ROLE {} PASSWORD {}", subject, quote_literal(context.verifier_of(action.subject)))};
    default: return {};
  }
}

}  // namespace

std::vector<std::string> statements_for(const Action& action, const StatementContext& context) {
  switch (stage_of(action.kind)) {
    case Stage::roles:
    case Stage::logins:
    case Stage::disable: return of_roles(action, context);
    case Stage::discard:
      return {fmt::format("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote_identifier(action.subject))};
    case Stage::create_database:
    case Stage::database: return of_database(action, context);
    case Stage::inside: return inside(action, context);
    case Stage::copy:
    case Stage::verify:
    case Stage::rotation:
    case Stage::removal:
    case Stage::cluster: return {};
    // For the record: how it is done depends on who we are.
    case Stage::sessions:
      return {"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = " +
              quote_literal(action.subject)};
  }
  return {};
}

bool runs_as_admin(const Action& action, const ServerFacts& facts) noexcept {
  switch (action.kind) {
    case ActionKind::set_database_owner:
    case ActionKind::set_schema_owner:
    case ActionKind::reown_object: return true;
    // Until 14 "public" belongs to whoever ran initdb, and only a superuser has that one's rights.
    case ActionKind::revoke_public_schema: return facts.superuser;
    default: return stage_of(action.kind) != Stage::database && stage_of(action.kind) != Stage::inside;
  }
}

}  // namespace opi::provision
