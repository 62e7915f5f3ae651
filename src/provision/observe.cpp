#include "provision/observe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace opi::provision {
namespace {

constexpr std::string_view facts_query =
    "SELECT r.rolname::text, r.rolsuper, r.rolinherit, "
    "pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT') "
    "FROM pg_catalog.pg_roles r WHERE r.rolname = session_user";

/// One row a role (r), database (d), membership (m) and set of settings (s). Joined with the wanted names, so that an
/// estate beside ours costs nothing but the scan; and with the catalog of roles instead of pg_get_userbyid, so that
/// ten thousand are one hash join and not as many look-ups.
///   {0} the catalog of roles that we may read, {1} the verifier in it, {2} and {3} inherit and set of a membership
constexpr std::string_view server_query = R"sql(
WITH wanted AS MATERIALIZED (SELECT n AS name FROM pg_catalog.unnest($1::text[]::name[]) AS n)
SELECT 'r' AS kind, r.rolname::text AS name,
       pg_catalog.concat(CASE WHEN r.rolcanlogin THEN 'l' END, CASE WHEN r.rolsuper THEN 's' END,
         CASE WHEN r.rolcreatedb THEN 'd' END, CASE WHEN r.rolcreaterole THEN 'c' END,
         CASE WHEN r.rolreplication THEN 'r' END, CASE WHEN r.rolbypassrls THEN 'b' END,
         CASE WHEN r.rolinherit THEN 'i' END, CASE WHEN r.rolvaliduntil <= pg_catalog.now() THEN 'x' END) AS a,
       r.rolconnlimit::text AS b, c.description AS c, {1} AS d, NULL::text AS e
FROM pg_catalog.{0} r JOIN wanted w ON w.name = r.rolname
  LEFT JOIN pg_catalog.pg_shdescription c
    ON c.objoid = r.oid AND c.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass
UNION ALL
SELECT 'd', d.datname::text, coalesce(o.rolname, pg_catalog.pg_get_userbyid(d.datdba))::text,
       pg_catalog.concat(pg_catalog.pg_encoding_to_char(d.encoding), ' ', d.datcollate),
       d.datconnlimit::text, d.datallowconn::text,
       pg_catalog.array_to_string(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba)), E'\n')
FROM pg_catalog.pg_database d JOIN wanted w ON w.name = d.datname LEFT JOIN pg_catalog.{0} o ON o.oid = d.datdba
UNION ALL
SELECT 'm', grp.rolname::text, member.rolname::text, m.admin_option::text, {2}, {3},
       CASE WHEN ours.name IS NULL THEN 'foreign' END
FROM pg_catalog.pg_auth_members m
  JOIN pg_catalog.{0} grp ON grp.oid = m.roleid JOIN pg_catalog.{0} member ON member.oid = m.member
  LEFT JOIN wanted theirs ON theirs.name = grp.rolname LEFT JOIN wanted ours ON ours.name = member.rolname
WHERE theirs.name IS NOT NULL OR ours.name IS NOT NULL
UNION ALL
SELECT 's', r.rolname::text, coalesce(d.datname::text, ''), s.setconfig::text, NULL, NULL, NULL
FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.{0} r ON r.oid = s.setrole JOIN wanted w ON w.name = r.rolname
  LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase)sql";

constexpr std::string_view inside_query = R"sql(
SELECT 'n' AS kind, n.nspname::text AS name, pg_catalog.pg_get_userbyid(n.nspowner)::text AS a,
       pg_catalog.array_to_string(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner)), E'\n') AS b,
       (pg_catalog.pg_has_role($1::text::name, n.nspowner, 'USAGE')
         OR (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = session_user))::text AS c,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_depend d WHERE d.refobjid = n.oid
          AND d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass)::text AS d
FROM pg_catalog.pg_namespace n WHERE n.nspname::text = ANY ($2::text[]) OR n.nspname = 'public'
UNION ALL
SELECT 'f', d.defaclobjtype::text, pg_catalog.pg_get_userbyid(d.defaclrole)::text,
       pg_catalog.array_to_string(d.defaclacl, E'\n'), NULL, NULL
FROM pg_catalog.pg_default_acl d JOIN pg_catalog.pg_roles r ON r.oid = d.defaclrole
WHERE d.defaclnamespace = 0 AND r.rolname::text = $1::text
UNION ALL
SELECT 'e', x.extname::text, NULL, NULL, NULL, NULL FROM pg_catalog.pg_extension x)sql";

/// Sequences of columns, row types and members of extensions follow what they belong to.
constexpr std::string_view foreign_objects_query = R"sql(
WITH ours AS (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname::text = ANY ($2::text[])),
objects AS (
  SELECT 'pg_catalog.pg_class'::pg_catalog.regclass AS class, c.oid, c.relowner AS owner,
         CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
           WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS type
  FROM pg_catalog.pg_class c JOIN ours ON ours.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
  UNION ALL
  SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, p.proowner,
         CASE p.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END
  FROM pg_catalog.pg_proc p JOIN ours ON ours.oid = p.pronamespace
  UNION ALL
  SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, t.typowner, CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END
  FROM pg_catalog.pg_type t JOIN ours ON ours.oid = t.typnamespace
  WHERE t.typtype IN ('d', 'e', 'r') OR (t.typtype = 'c' AND EXISTS (
    SELECT 1 FROM pg_catalog.pg_class k WHERE k.oid = t.typrelid AND k.relkind = 'c')))
SELECT o.type, i.identity, pg_catalog.pg_get_userbyid(o.owner)::text
FROM objects o CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.class, o.oid, 0) i
WHERE pg_catalog.pg_get_userbyid(o.owner)::text <> $1::text AND NOT EXISTS (
  SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = o.class AND d.objid = o.oid AND d.objsubid = 0
    AND (d.deptype IN ('i', 'e') OR (d.deptype = 'a' AND d.refobjsubid > 0)))
ORDER BY o.type, i.identity)sql";

enum Column { kind, name, a, b, c, d, e };

ObservedRole role_of(const pg::Row& row, bool verifier_known) {
  const auto flags = row.text(Column::a);
  const auto has = [&](char flag) { return flags.find(flag) != std::string_view::npos; };
  ObservedRole role{.name = std::string(row.text(Column::name))};
  role.login = has('l');
  role.superuser = has('s');
  role.create_db = has('d');
  role.create_role = has('c');
  role.replication = has('r');
  role.bypass_rls = has('b');
  role.inherit = has('i');
  role.expired = has('x');
  role.connection_limit = row.get<std::int64_t>(Column::b);
  role.comment = row.text(Column::c);
  role.verifier_known = verifier_known;
  role.verifier = row.get<std::optional<std::string>>(Column::d);
  return role;
}

Result<ObservedDatabase> database_of(const pg::Row& row) {
  ObservedDatabase database{.name = std::string(row.text(Column::name)), .owner = std::string(row.text(Column::a))};
  const auto encoding = row.text(Column::b);  // "UTF8 C.UTF-8"
  database.encoding = encoding.substr(0, encoding.find(' '));
  database.locale = encoding.substr(encoding.find(' ') + 1);
  database.connection_limit = row.get<std::int64_t>(Column::c);
  database.allow_connections = row.text(Column::d) == "true";
  auto acl = parse_acl(row.text(Column::e));
  if (!acl) return failure(std::move(acl.error()).while_doing("privileges on database " + database.name));
  database.acl = *std::move(acl);
  return database;
}

void add_membership(ObservedServer& server, const pg::Row& row) {
  Membership one{.role = std::string(row.text(Column::name)),
                 .member = std::string(row.text(Column::a)),
                 .admin = row.text(Column::b) == "true",
                 .inherit = row.text(Column::c) == "true",
                 .set = row.text(Column::d) == "true"};
  if (row.text(Column::e) == "foreign") {
    server.foreign_memberships.push_back(std::move(one));
  } else if (const auto found = server.roles.find(one.member); found != server.roles.end()) {
    found->second.memberships.push_back(std::move(one));
  }
}

void add_settings(ObservedServer& server, const pg::Row& row) {
  const auto found = server.roles.find(std::string(row.text(Column::name)));
  if (found == server.roles.end()) return;
  for (const auto& setting : row.get<std::vector<std::string>>(Column::b)) {
    const auto equals = setting.find('=');
    if (equals == std::string::npos) continue;
    found->second.settings.push_back({.database = std::string(row.text(Column::a)),
                                      .name = setting.substr(0, equals),
                                      .value = setting.substr(equals + 1)});
  }
}

Result<ObservedServer> server_of(const pg::ResultSet& rows, ServerFacts facts, bool verifier_known) {
  ObservedServer server{.facts = std::move(facts)};
  // Roles first: memberships and settings are attached to them.
  for (const auto& row : rows) {
    if (row.text(Column::kind) == "r") {
      auto role = role_of(row, verifier_known);
      auto key = role.name;
      server.roles.emplace(std::move(key), std::move(role));
    }
  }
  for (const auto& row : rows) {
    const auto what = row.text(Column::kind);
    if (what == "m") add_membership(server, row);
    if (what == "s") add_settings(server, row);
    if (what != "d") continue;
    auto database = database_of(row);
    if (!database) return failure(std::move(database.error()));
    auto key = database->name;
    server.databases.emplace(std::move(key), *std::move(database));
  }
  return server;
}

}  // namespace

Task<Result<ObservedServer>> observe_server(pg::Connection* connection, std::vector<std::string> names) {
  auto who = co_await connection->query(std::string(facts_query));
  if (!who) co_return failure(std::move(who.error()).while_doing("observe the server"));
  if (who->size() != 1)
    co_return failure(ErrorKind::internal, "observe the server: our own role is not in its catalog");
  ServerFacts facts{.version = connection->server_version(), .version_text = connection->server_version_text()};
  facts.admin = (*who)[0].text(0);
  facts.superuser = (*who)[0].get<bool>(1);
  facts.inherit = (*who)[0].get<bool>(2);
  const bool verifiers = (*who)[0].get<bool>(3);
  const bool options = facts.version >= 160000;
  // Each once, for a name that stands twice would bring its rows twice.
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  auto sql = fmt::format(
      fmt::runtime(server_query), verifiers ? "pg_authid" : "pg_roles", verifiers ? "r.rolpassword" : "NULL::text",
      options ? "m.inherit_option::text" : "member.rolinherit::text", options ? "m.set_option::text" : "'true'");
  pg::Params params;
  params.emplace_back(names);
  auto rows = co_await connection->query(std::move(sql), std::move(params));
  if (!rows) co_return failure(std::move(rows.error()).while_doing("observe the server"));
  co_return server_of(*rows, std::move(facts), verifiers);
}

Task<Result<ObservedInside>> observe_inside(pg::Connection* connection, std::string owner,
                                            std::vector<std::string> schemas) {
  pg::Params params;
  params.emplace_back(std::move(owner));
  params.emplace_back(schemas);
  auto rows = co_await connection->query(std::string(inside_query), std::move(params));
  if (!rows) co_return failure(std::move(rows.error()).while_doing("look inside the database"));
  ObservedInside inside;
  for (const auto& row : *rows) {
    const auto what = row.text(Column::kind);
    if (what == "e") {
      inside.extensions.emplace_back(row.text(Column::name));
      continue;
    }
    auto acl = parse_acl(row.text(Column::b));
    if (!acl) co_return failure(std::move(acl.error()).while_doing("look inside the database"));
    if (what == "n") {
      inside.schemas.push_back({.name = std::string(row.text(Column::name)),
                                .owner = std::string(row.text(Column::a)),
                                .acl = *std::move(acl),
                                .objects = row.get<std::int64_t>(Column::d),
                                .manageable = row.text(Column::c) == "true"});
    } else {
      inside.defaults.push_back({.owner = std::string(row.text(Column::a)),
                                 .schema = {},
                                 .object = row.text(Column::name).front(),
                                 .acl = *std::move(acl)});
    }
  }
  co_return inside;
}

Task<Result<std::vector<ForeignObject>>> observe_foreign_objects(pg::Connection* connection, std::string owner,
                                                                 std::vector<std::string> schemas) {
  pg::Params params;
  params.emplace_back(std::move(owner));
  params.emplace_back(schemas);
  auto rows = co_await connection->query(std::string(foreign_objects_query), std::move(params));
  if (!rows) co_return failure(std::move(rows.error()).while_doing("look for what others own"));
  std::vector<ForeignObject> objects;
  for (const auto& row : *rows)
    objects.push_back(
        {.type = std::string(row.text(0)), .identity = std::string(row.text(1)), .owner = std::string(row.text(2))});
  co_return objects;
}

Task<Result<Acl>> observe_database_acl(pg::Connection* connection, std::string name) {
  pg::Params params;
  params.emplace_back(name);
  auto rows = co_await connection->query(
      "SELECT pg_catalog.array_to_string(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba)), E'\\n') "
      "FROM pg_catalog.pg_database d WHERE d.datname::text = $1",
      std::move(params));
  if (!rows) co_return failure(std::move(rows.error()).while_doing("read the privileges on database " + name));
  if (rows->empty()) co_return failure(ErrorKind::not_found, fmt::format("database \"{}\" is gone", name));
  co_return parse_acl((*rows)[0].text(0));
}

}  // namespace opi::provision
