#include "provision/secret_manager.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "secrets/base64.hpp"
#include "secrets/keyed_hash.hpp"

namespace opi::provision {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

}  // namespace

Result<SecretString> open_sealed_text(std::string_view text, const secrets::PlatformKey& key) {
  constexpr std::string_view base64_prefix = "base64+age:";
  constexpr std::string_view age_prefix = "age:";
  auto rest = trimmed(text);
  std::string sealed;
  if (rest.starts_with(base64_prefix)) {
    auto decoded = secrets::base64_decode(trimmed(rest.substr(base64_prefix.size())));
    if (!decoded) return failure(std::move(decoded.error()));
    sealed = *std::move(decoded);
  } else {
    if (rest.starts_with(age_prefix)) rest = trimmed(rest.substr(age_prefix.size()));
    sealed = rest;
  }
  return key.open(sealed);
}

Task<Result<std::vector<store::ProjectKey>>> SecretManager::keys_of(pg::Connection* connection,
                                                                    std::vector<store::ProjectKey> known,
                                                                    const SourcedProject* project, bool look_only) {
  std::erase_if(known, [](const store::ProjectKey& one) { return one.over; });
  store::NewProjectKey wanted{.project = project->project.name.value, .overlap = rules_.key_overlap};
  const auto& given = project->project.config.age_private_key;
  bool replace = false;
  if (given) {
    wanted.origin = secrets::to_hex(secrets::sha256(given->value));
    replace = known.empty() || known.front().origin != wanted.origin;
    if (replace && !look_only) {
      auto opened = open_sealed_text(given->value, *key_);
      if (!opened) co_return failure(std::move(opened.error()).while_doing("config.age-private-key").at(given->place));
      wanted.identity = *std::move(opened);
    }
  }
  const bool enough = !known.empty() && known.front().current && !replace;
  if (enough) co_return known;
  if (look_only) {
    for (auto& one : known) one.current = false;
    known.insert(known.begin(),
                 {.project = wanted.project, .recipient = "to be made", .origin = wanted.origin, .current = true});
    co_return known;
  }
  auto made = co_await store::set_project_key(connection, key_, std::move(wanted), replace);
  if (!made)
    co_return failure(std::move(made.error()).while_doing("the age key of project " + project->project.name.value));
  std::erase_if(known, [&](const store::ProjectKey& one) { return one.recipient == made->recipient; });
  for (auto& one : known) one.current = false;
  known.insert(known.begin(), *std::move(made));
  co_return known;
}

Result<Credentials> SecretManager::credentials_of(const DesiredDeployment& desired, const std::string& database,
                                                  const store::Credential& credential) const {
  Credentials credentials{.project = desired.project, .deployment = desired.deployment};
  credentials.hosts = main_.config().server.hosts;
  if (const auto given = rules_.database_hosts.find(desired.pool);
      given != rules_.database_hosts.end() && !given->second.empty()) {
    credentials.hosts = given->second;
  } else if (desired.pool != "main" && pools_ != nullptr) {
    auto pool = pools_->get(desired.pool);
    if (!pool) return failure(std::move(pool.error()));
    credentials.hosts = pool->get().config().server.hosts;
  }
  credentials.database = database;
  credentials.schema = desired.names.base;
  credentials.schemas = desired.schemas.empty() ? std::vector{desired.names.base} : desired.schemas;
  credentials.user = credential.login.login;
  return credentials;
}

Result<SecretData> SecretManager::open_credentials(const DesiredDeployment& desired, const std::string& database,
                                                   const store::Credential& credential) const {
  auto credentials = credentials_of(desired, database, credential);
  if (!credentials) return failure(std::move(credentials.error()));
  auto password = store::open_password(*key_, credential);
  if (!password) return failure(std::move(password.error()).while_doing(desired.title()));
  credentials->password = *std::move(password);
  return credentials_data(*credentials, rules_);
}

Result<SecretData> SecretManager::open_keys(const std::vector<store::ProjectKey>& keys) const {
  std::vector<SecretString> opened;
  for (const auto& key : keys) {
    auto identity = store::open_project_key(*key_, key);
    if (!identity) return failure(std::move(identity.error()));
    opened.push_back(*std::move(identity));
  }
  return key_data(keys, opened);
}

}  // namespace opi::provision
