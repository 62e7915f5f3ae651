#include "store/credential_journal.hpp"

#include <fmt/format.h>

#include <utility>

#include "secrets/password.hpp"
#include "secrets/scram.hpp"
#include "store/credential_row.hpp"
#include "store/durable.hpp"

namespace opi::store {
namespace {

constexpr int begin_tries_max = 20;

constexpr const char* insert_sql = R"(WITH {}
INSERT INTO opi.credentials (deployment_id, slot, login, generation, sealed, sealed_to, verifier)
SELECT $1::bigint, $2::opi.login_slot, $3, $4::integer, $5::bytea, $6, $7 FROM durable
ON CONFLICT DO NOTHING RETURNING id, {})";

// Every part sees the table as it was before. One unknown id, or one that is retired already, and nothing is moved.
constexpr const char* advance_sql = R"(WITH {},
wanted AS MATERIALIZED (
  SELECT w.id, c.state FROM unnest($1::text[]::bigint[]) AS w(id) LEFT JOIN opi.credentials c ON c.id = w.id
),
moved AS (
  UPDATE opi.credentials c SET
    state = $2::opi.credential_state,
    changed_at = now(),
    published_at = CASE WHEN $2::opi.credential_state IN ('published', 'done')
      THEN coalesce(c.published_at, now()) ELSE c.published_at END,
    sealed = CASE WHEN $2::opi.credential_state = 'retired' THEN ''::bytea ELSE c.sealed END,
    verifier = CASE WHEN $2::opi.credential_state = 'retired' THEN '' ELSE c.verifier END
  FROM durable, wanted w
  WHERE c.id = w.id AND c.state < $2::opi.credential_state AND NOT EXISTS (
    SELECT 1 FROM wanted WHERE state IS NULL OR (state = 'retired' AND $2::opi.credential_state <> 'retired'))
  RETURNING c.id, c.deployment_id, c.slot, c.generation
),
replaced AS (
  UPDATE opi.credentials o SET state = 'retired', changed_at = now(), sealed = '', verifier = ''
  FROM moved m
  WHERE $2::opi.credential_state = 'done' AND o.deployment_id = m.deployment_id AND o.slot = m.slot
    AND o.generation < m.generation AND o.state <> 'retired' AND NOT EXISTS (SELECT 1 FROM wanted WHERE id = o.id)
)
SELECT count(*) FILTER (WHERE state IS NULL), count(*) FILTER (WHERE state = 'retired') FROM wanted)";

/// What is sealed: the password, tied to its login, so that an entry moved to another login does not open.
SecretString sealed_text(const LoginRef& login, int generation, const SecretString& password) {
  const std::string head = fmt::format("opi credential 1\n{}\n{}\n{}\n", login.stamp, login.login, generation);
  std::string text;
  text.reserve(head.size() + password.size());  // no growth: nothing is left unwiped
  text.append(head).append(password.reveal());
  return SecretString::take(std::move(text));
}

struct Newest {
  std::string stamp;
  std::optional<Credential> credential;
};

/// The newest generation of a slot, and the deployment's stamp; not_found without such a deployment.
Task<Result<Newest>> newest_of(pg::Connection* connection, std::int64_t deployment_id, LoginSlot slot) {
  const auto rows = co_await connection->query(
      "SELECT d.stamp, " + credential_columns() +
          " FROM opi.deployments d LEFT JOIN LATERAL (SELECT * FROM opi.credentials "
          "WHERE deployment_id = d.id AND slot = $2::opi.login_slot ORDER BY generation DESC LIMIT 1) c ON true "
          "WHERE d.id = $1",
      {deployment_id, to_string(slot)});
  if (!rows) co_return failure(rows.error());
  if (rows->empty())
    co_return failure(ErrorKind::not_found, "a credential for a deployment that is not in the inventory");
  RowReader reader((*rows)[0]);
  Newest newest;
  newest.stamp = reader.text();
  if (!reader.at_null()) newest.credential = read_credential(&reader);
  co_return newest;
}

/// The bytes of a new generation.
Result<Credential> make_credential(const secrets::PlatformKey& key, LoginRef login, int generation,
                                   const SecretString& password) {
  auto verifier = secrets::scram_verifier(password);
  if (!verifier)
    return failure(std::move(verifier.error()).while_doing("a password cannot be used for " + login.login));
  auto sealed = key.seal(sealed_text(login, generation, password).reveal());
  if (!sealed) return failure(std::move(sealed.error()).while_doing("a password cannot be sealed"));
  Credential credential;
  credential.login = std::move(login);
  credential.generation = generation;
  credential.sealed = std::move(*sealed);
  credential.sealed_to = key.recipient().to_string();
  credential.verifier = std::move(*verifier);
  return credential;
}

/// Writes a new generation down and completes it; false when somebody else did so first.
Task<Result<bool>> insert_intent(pg::Connection* connection, Credential* credential) {
  const auto rows = co_await connection->query(
      fmt::format(insert_sql, durable_cte, microseconds("created_at")),
      {credential->login.deployment_id, to_string(credential->login.slot), credential->login.login,
       credential->generation, bytes_param(credential->sealed), credential->sealed_to, credential->verifier});
  if (!rows) co_return failure(rows.error());
  if (rows->empty()) co_return false;
  RowReader reader((*rows)[0]);
  credential->id = reader.next<std::int64_t>();
  credential->created_at = reader.time();
  co_return true;
}

}  // namespace

Task<Result<Credential>> begin_intent(pg::Connection* connection, const secrets::PlatformKey* key, LoginRef login,
                                      std::optional<SecretString> adopted) {
  for (int i = 0; i < begin_tries_max; ++i) {
    auto newest = co_await newest_of(connection, login.deployment_id, login.slot);
    if (!newest) co_return failure(std::move(newest.error()));
    if (newest->stamp != login.stamp) {
      co_return failure(ErrorKind::conflict,
                        fmt::format("{} belongs to another deployment than is recorded", login.login));
    }
    // An adopted owner's password is the first of slot a; when it is retired, the slot's own login follows.
    if (newest->credential && newest->credential->state != CredentialState::retired &&
        newest->credential->login.login != login.login) {
      co_return failure(ErrorKind::conflict, fmt::format("slot {} has the login {}, not {}", to_string(login.slot),
                                                         newest->credential->login.login, login.login));
    }
    if (newest->credential && newest->credential->state < CredentialState::done) co_return *newest->credential;
    const int generation = newest->credential ? newest->credential->generation + 1 : 1;
    const SecretString password = adopted ? adopted->copy() : secrets::generate_password();
    auto made = make_credential(*key, login, generation, password);
    if (!made) co_return failure(made.error());
    const auto inserted = co_await insert_intent(connection, &*made);
    if (!inserted) co_return failure(inserted.error());
    if (*inserted) co_return std::move(*made);
    // Somebody came first: theirs is the one.
  }
  co_return failure(Error(ErrorKind::conflict, fmt::format("others keep changing the credentials of {}", login.login))
                        .handled_by(Handling::retry));
}

Task<Result<>> advance(pg::Connection* connection, std::int64_t credential_id, CredentialState state) {
  std::vector<std::int64_t> one{credential_id};
  co_return co_await advance(connection, std::move(one), state);
}

Task<Result<>> advance(pg::Connection* connection, std::vector<std::int64_t> credential_ids, CredentialState state) {
  if (credential_ids.empty()) co_return Result<>{};
  // Lost, these two cost one more ALTER ROLE or one more login, with the same bytes.
  const bool durably = state != CredentialState::applied && state != CredentialState::verified;
  const auto rows = co_await connection->query(fmt::format(advance_sql, durably ? durable_cte : relaxed_cte),
                                               {ids_param(credential_ids), to_string(state)});
  if (!rows) co_return failure(rows.error());
  if ((*rows)[0].get<std::int64_t>(0) > 0)
    co_return failure(ErrorKind::not_found, "a credential that is not in the journal");
  if (state != CredentialState::retired && (*rows)[0].get<std::int64_t>(1) > 0) {
    co_return failure(ErrorKind::conflict, "a retired credential does not come back");
  }
  co_return Result<>{};
}

Task<Result<std::optional<Credential>>> current_credential(pg::Connection* connection, std::int64_t deployment_id,
                                                           LoginSlot slot) {
  auto newest = co_await newest_of(connection, deployment_id, slot);
  if (!newest) co_return failure(std::move(newest.error()));
  co_return std::move(newest->credential);
}

Task<Result<std::optional<Credential>>> published_credential(pg::Connection* connection, std::int64_t deployment_id) {
  const auto rows = co_await connection->query(
      "SELECT " + credential_columns() +
          " FROM opi.credentials c JOIN opi.deployments d ON d.id = c.deployment_id WHERE c.deployment_id = $1 "
          "AND c.slot IN ('a', 'b') AND c.published_at IS NOT NULL AND c.state <> 'retired' "
          "ORDER BY c.published_at DESC, c.id DESC LIMIT 1",
      {deployment_id});
  if (!rows) co_return failure(rows.error());
  std::optional<Credential> published;
  if (!rows->empty()) {
    RowReader reader((*rows)[0]);
    published = read_credential(&reader);
  }
  co_return published;
}

Task<Result<std::vector<CredentialSummary>>> login_summaries(pg::Connection* connection, std::int64_t deployment_id) {
  const auto rows = co_await connection->query("SELECT DISTINCT ON (c.slot) " + credential_summary_columns() +
                                                   " FROM opi.credentials c WHERE c.deployment_id = $1 AND c.state <> "
                                                   "'retired' ORDER BY c.slot, c.generation DESC",
                                               {deployment_id});
  if (!rows) co_return failure(rows.error());
  std::vector<CredentialSummary> summaries;
  for (const pg::Row row : *rows) {
    RowReader reader(row);
    summaries.push_back(read_credential_summary(&reader));
  }
  co_return summaries;
}

Task<Result<Credential>> find_credential(pg::Connection* connection, std::int64_t credential_id) {
  const auto rows = co_await connection->query(
      "SELECT " + credential_columns() +
          " FROM opi.credentials c JOIN opi.deployments d ON d.id = c.deployment_id WHERE c.id = $1",
      {credential_id});
  if (!rows) co_return failure(rows.error());
  if (rows->empty()) co_return failure(ErrorKind::not_found, "a credential that is not in the journal");
  RowReader reader((*rows)[0]);
  co_return read_credential(&reader);
}

Task<Result<std::vector<Credential>>> open_intents(pg::Connection* connection) {
  const auto rows = co_await connection->query(
      "SELECT " + credential_columns() +
      " FROM opi.credentials c JOIN opi.deployments d ON d.id = c.deployment_id WHERE c.state < 'done' ORDER BY c.id");
  if (!rows) co_return failure(rows.error());
  std::vector<Credential> open;
  open.reserve(static_cast<std::size_t>(rows->size()));
  for (const pg::Row row : *rows) {
    RowReader reader(row);
    open.push_back(read_credential(&reader));
  }
  co_return open;
}

Result<SecretString> open_password(const secrets::PlatformKey& key, const Credential& credential) {
  if (credential.sealed.empty()) {
    return failure(ErrorKind::not_found, fmt::format("the password of {} is retired and gone", credential.login.login));
  }
  const auto opened = key.open(credential.sealed);
  if (!opened) {
    return failure(Error(opened.error())
                       .while_doing(fmt::format("the password of {} does not open (it is sealed to {})",
                                                credential.login.login, credential.sealed_to)));
  }
  const SecretString head = sealed_text(credential.login, credential.generation, SecretString());
  if (!opened->reveal().starts_with(head.reveal())) {
    return failure(ErrorKind::invalid,
                   fmt::format("what the journal holds for {} was sealed for another login", credential.login.login));
  }
  return SecretString(opened->reveal().substr(head.size()));
}

}  // namespace opi::store
