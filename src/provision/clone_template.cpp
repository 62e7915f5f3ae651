#include "provision/clone_template.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "pg/quote.hpp"

namespace opi::provision {
namespace {

using pg::quote_identifier;
using How = RoleMention::How;

/// A sequence of a column follows its table, a multirange its range.
constexpr std::string_view objects_query = R"sql(
SELECT s.deptype::text, i.type, i.identity, r.rolname::text
FROM pg_catalog.pg_shdepend s
  JOIN pg_catalog.pg_database d ON d.oid = s.dbid AND d.datname = pg_catalog.current_database()
  JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid
  CROSS JOIN LATERAL pg_catalog.pg_identify_object(s.classid, s.objid, 0) i
WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND r.rolname::text <> $1::text
  AND s.classid <> 'pg_catalog.pg_default_acl'::pg_catalog.regclass
  AND (s.deptype <> 'o' OR r.rolname::text = ANY ($2::text[]))
  AND NOT (s.deptype = 'o' AND EXISTS (
    SELECT 1 FROM pg_catalog.pg_depend p WHERE p.classid = s.classid AND p.objid = s.objid AND p.objsubid = 0
      AND ((p.refobjsubid > 0 AND p.deptype IN ('a', 'i'))
        OR (s.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND p.deptype = 'i'))))
ORDER BY i.type <> 'schema', s.deptype DESC, i.type, i.identity)sql";

constexpr std::string_view defaults_query = R"sql(
SELECT pg_catalog.pg_get_userbyid(d.defaclrole)::text, coalesce(n.nspname::text, ''), d.defaclobjtype::text,
  ARRAY(SELECT DISTINCT CASE a.grantee WHEN 0 THEN '' ELSE pg_catalog.pg_get_userbyid(a.grantee)::text END
        FROM pg_catalog.aclexplode(d.defaclacl) a)
FROM pg_catalog.pg_default_acl d LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
WHERE pg_catalog.pg_get_userbyid(d.defaclrole)::text = ANY ($1::text[]) ORDER BY 1, 2, 3)sql";

/// How ALTER … OWNER and REVOKE call it; empty: they do not.
struct Words {
  std::string_view type;
  std::string_view alter;
  std::string_view revoke;
};
constexpr std::array words{Words{"schema", "SCHEMA", "SCHEMA"},
                           Words{"table", "TABLE", "TABLE"},
                           Words{"view", "VIEW", "TABLE"},
                           Words{"materialized view", "MATERIALIZED VIEW", "TABLE"},
                           Words{"foreign table", "FOREIGN TABLE", "TABLE"},
                           Words{"sequence", "SEQUENCE", "SEQUENCE"},
                           Words{"function", "ROUTINE", "ROUTINE"},
                           Words{"procedure", "ROUTINE", "ROUTINE"},
                           Words{"aggregate", "ROUTINE", "ROUTINE"},
                           Words{"type", "TYPE", "TYPE"},
                           Words{"large object", "LARGE OBJECT", "LARGE OBJECT"},
                           Words{"collation", "COLLATION", ""},
                           Words{"conversion", "CONVERSION", ""},
                           Words{"operator", "OPERATOR", ""},
                           Words{"operator class", "OPERATOR CLASS", ""},
                           Words{"operator family", "OPERATOR FAMILY", ""},
                           Words{"text search configuration", "TEXT SEARCH CONFIGURATION", ""},
                           Words{"text search dictionary", "TEXT SEARCH DICTIONARY", ""},
                           Words{"statistics object", "STATISTICS", ""},
                           Words{"publication", "PUBLICATION", ""},
                           Words{"language", "LANGUAGE", "LANGUAGE"},
                           Words{"foreign-data wrapper", "FOREIGN DATA WRAPPER", "FOREIGN DATA WRAPPER"},
                           Words{"server", "SERVER", "FOREIGN SERVER"}};

std::string_view word_of(const RoleMention& mention) {
  if (mention.how == How::other) return {};
  const auto* const found = std::ranges::find(words, mention.type, &Words::type);
  if (found == words.end()) return {};
  return mention.how == How::owner ? found->alter : found->revoke;
}

std::string_view plural_of(char object) {
  switch (object) {
    case 'r': return "TABLES";
    case 'S': return "SEQUENCES";
    case 'f': return "FUNCTIONS";
    case 'T': return "TYPES";
    case 'n': return "SCHEMAS";
    default: return "LARGE OBJECTS";
  }
}

/// Back to what PostgreSQL has without any of them, which is when it forgets them.
std::string without_defaults(const DefaultMention& mention) {
  std::string head = "ALTER DEFAULT PRIVILEGES FOR ROLE " + quote_identifier(mention.role);
  if (!mention.schema.empty()) head += " IN SCHEMA " + quote_identifier(mention.schema);
  const auto on = plural_of(mention.object);
  const bool public_has_some = mention.object == 'f' || mention.object == 'T';
  std::string text;
  for (const auto& grantee : mention.grantees) {
    if (mention.schema.empty() && (grantee == mention.role || (grantee.empty() && public_has_some))) continue;
    text += fmt::format("{} REVOKE ALL ON {} FROM {};\n", head, on,
                        grantee.empty() ? std::string("PUBLIC") : quote_identifier(grantee));
  }
  if (!mention.schema.empty()) return text;
  text += fmt::format("{} GRANT ALL ON {} TO {};\n", head, on, quote_identifier(mention.role));
  if (public_has_some)
    text += fmt::format("{} GRANT {} ON {} TO PUBLIC;\n", head, mention.object == 'f' ? "EXECUTE" : "USAGE", on);
  return text;
}

}  // namespace

Task<Result<Mentions>> observe_mentions(pg::Connection* connection, std::vector<std::string> roles,
                                        std::string except) {
  Mentions mentions;
  auto objects = co_await connection->query(std::string(objects_query), {std::move(except), roles});
  if (!objects) co_return failure(std::move(objects.error()).while_doing("look for what names the source's roles"));
  for (const auto& row : *objects) {
    const auto kind = row.text(0);
    mentions.objects.push_back({.how = kind == "o" ? How::owner : (kind == "a" ? How::privilege : How::other),
                                .type = std::string(row.text(1)),
                                .identity = std::string(row.text(2)),
                                .role = std::string(row.text(3))});
  }
  auto defaults = co_await connection->query(std::string(defaults_query), {roles});
  if (!defaults) co_return failure(std::move(defaults.error()).while_doing("look for the source's default privileges"));
  for (const auto& row : *defaults) {
    mentions.defaults.push_back({.role = std::string(row.text(0)),
                                 .schema = std::string(row.text(1)),
                                 .object = row.text(2).front(),
                                 .grantees = row.get<std::vector<std::string>>(3)});
  }
  co_return mentions;
}

std::optional<std::string> beyond_template(const Mentions& mentions) {
  for (const auto& one : mentions.objects) {
    if (word_of(one).empty())
      return fmt::format("{} {} {} {}", one.type, one.identity, one.how == How::owner ? "belongs to" : "names role",
                         one.role);
  }
  return std::nullopt;
}

std::string take_over_text(const Mentions& mentions, const std::string& owner) {
  std::string text;
  // Owners first: what the old one granted is the new one's grant from then on, and can be taken by it.
  for (const auto& one : mentions.objects) {
    if (one.how == How::owner)
      text += fmt::format("ALTER {} {} OWNER TO {};\n", word_of(one), one.identity, quote_identifier(owner));
  }
  for (const auto& one : mentions.objects) {
    if (one.how == How::privilege)
      text +=
          fmt::format("REVOKE ALL ON {} {} FROM {} CASCADE;\n", word_of(one), one.identity, quote_identifier(one.role));
  }
  for (const auto& one : mentions.defaults) text += without_defaults(one);
  return text;
}

}  // namespace opi::provision
