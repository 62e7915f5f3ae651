#include "store/key_check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <string>

#include "secrets/password.hpp"
#include "store/row_reader.hpp"

namespace opi::store {
namespace {

constexpr const char* check_name = "check";
constexpr const char* hash_name = "hash";
constexpr std::size_t key_bytes = 32;

struct SealedKey {
  std::string sealed;
  std::string sealed_to;
};
using SealedKeys = std::map<std::string, SealedKey, std::less<>>;

Task<Result<SealedKeys>> load_keys(pg::Connection* connection) {
  const auto rows = co_await connection->query("SELECT name, sealed, sealed_to FROM opi.control_keys");
  if (!rows) co_return failure(rows.error());
  SealedKeys keys;
  for (const pg::Row row : *rows) {
    RowReader reader(row);
    const std::string name = reader.text();
    SealedKey& key = keys[name];
    key.sealed = reader.bytes();
    key.sealed_to = reader.text();
  }
  co_return keys;
}

/// At first use only: who comes second gets what the first one sealed.
Task<Result<bool>> seal_first_keys(pg::Connection* connection, const secrets::PlatformKey* key) {
  const auto used = co_await connection->query("SELECT EXISTS (SELECT 1 FROM opi.credentials)");
  if (!used) co_return failure(used.error());
  if ((*used)[0].get<bool>(0)) {
    co_return failure(Error(ErrorKind::conflict,
                            "the control database holds credentials but not the value that proves the platform key")
                          .with_remedy("restore table opi.control_keys from a backup of the control database")
                          .handled_by(Handling::needs_person));
  }
  auto check = key->seal(secrets::generate_key(key_bytes).reveal());
  auto hash = key->seal(secrets::generate_key(key_bytes).reveal());
  if (!check || !hash) co_return failure(!check ? check.error() : hash.error());
  const std::string sealed_to = key->recipient().to_string();
  const auto kept = co_await connection->query(
      "INSERT INTO opi.control_keys (name, sealed, sealed_to) VALUES ($1, $2::bytea, $3), ($4, $5::bytea, $3) "
      "ON CONFLICT DO NOTHING",
      {check_name, bytes_param(*check), sealed_to, hash_name, bytes_param(*hash)});
  if (!kept) co_return failure(kept.error());
  co_return kept->affected() > 0;
}

Error wrong_key(const SealedKey& sealed, const secrets::PlatformKey& key, const Error& cause) {
  return Error(ErrorKind::denied, "the platform key does not open this control database")
      .because(fmt::format("it is sealed to {}, the platform key is {}", sealed.sealed_to,
                           fmt::join(key.recipients(), " and ")))
      .because(cause.message)
      .with_remedy(
          "set secrets.platform_key_file to the key that made it; after a rotation keep the old key below the new one")
      .handled_by(Handling::needs_person);
}

}  // namespace

Task<Result<ControlKeys>> check_platform_key(pg::Connection* connection, const secrets::PlatformKey* key) {
  auto keys = co_await load_keys(connection);
  if (!keys) co_return failure(keys.error());
  bool first_use = false;
  if (!keys->contains(check_name) || !keys->contains(hash_name)) {
    const auto sealed = co_await seal_first_keys(connection, key);
    if (!sealed) co_return failure(sealed.error());
    first_use = *sealed;
    keys = co_await load_keys(connection);
    if (!keys) co_return failure(keys.error());
  }
  const SealedKey& sealed_check = keys->at(check_name);
  const auto check = key->open(sealed_check.sealed);
  if (!check) co_return failure(wrong_key(sealed_check, *key, check.error()));
  const SealedKey& sealed_hash = keys->at(hash_name);
  auto hash_key = key->open(sealed_hash.sealed);
  if (!hash_key) co_return failure(wrong_key(sealed_hash, *key, hash_key.error()));
  auto hash = secrets::KeyedHash::create(std::move(*hash_key));
  if (!hash) co_return failure(std::move(hash.error()).while_doing("the hash key in the control database is damaged"));
  co_return ControlKeys{.hash = std::move(*hash), .first_use = first_use};
}

}  // namespace opi::store
