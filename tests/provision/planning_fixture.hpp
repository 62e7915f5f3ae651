#pragma once
/// @file
/// States for tests of the planner: a deployment, a server on which it is all there, and the inventory that knows it.

#include <string>

#include "provision/plan.hpp"
#include "provision/stamp.hpp"

namespace opi::provision {

inline constexpr const char* test_stamp_id = "0123456789abcdef0123456789abcdef";
inline constexpr const char* test_verifier = "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy";

inline DesiredDeployment shop_prod() {
  DesiredDeployment wanted{.project = "shop", .deployment = "prod", .namespace_ = "rig-shop"};
  wanted.names = {
      .base = "shop_prod", .login_a = "shop_prod__a", .login_b = "shop_prod__b", .read_only = "shop_prod_ro"};
  wanted.database = "shop_prod";
  wanted.schemas = {"shop_prod"};
  wanted.source = {.file = "projects/shop.yaml", .blob = "b1", .commit = "c1"};
  wanted.place = {.file = "projects/shop.yaml", .line = 14, .column = 5};
  return wanted;
}

inline ServerFacts facts_15() {
  return {.version = 150020, .version_text = "15.20", .admin = "postgres", .superuser = true};
}

inline ObservedServer empty_server() {
  return {.facts = facts_15()};
}

inline ObservedRole role_named(const std::string& name) {
  ObservedRole role{.name = name};
  role.comment = Stamp{.id = test_stamp_id, .project = "shop", .deployment = "prod"}.to_comment();
  role.verifier_known = true;
  return role;
}

inline ObservedRole login_named(const std::string& name, bool may_login) {
  auto role = role_named(name);
  role.login = may_login;
  if (may_login) role.verifier = test_verifier;
  role.memberships = {{.role = "shop_prod", .member = name}};
  role.settings = {{.database = "shop_prod", .name = "role", .value = "shop_prod"},
                   {.database = "shop_prod", .name = "search_path", .value = "shop_prod"}};
  return role;
}

/// Everything of shop/prod as a finished pass leaves it.
inline ObservedServer finished_server() {
  auto server = empty_server();
  server.roles.emplace("shop_prod", role_named("shop_prod"));
  server.roles.emplace("shop_prod_ro", role_named("shop_prod_ro"));
  server.roles.emplace("shop_prod__a", login_named("shop_prod__a", true));
  server.roles.emplace("shop_prod__b", login_named("shop_prod__b", false));
  ObservedDatabase database{.name = "shop_prod", .owner = "shop_prod", .encoding = "UTF8"};
  database.acl = {{.grantee = "shop_prod", .privileges = "CTc", .grantor = "shop_prod"},
                  {.grantee = "shop_prod_ro", .privileges = "c", .grantor = "shop_prod"}};
  server.databases.emplace("shop_prod", database);
  return server;
}

inline ObservedInside finished_inside() {
  ObservedInside inside;
  inside.schemas = {{.name = "shop_prod",
                     .owner = "shop_prod",
                     .acl = {{.grantee = "shop_prod", .privileges = "UC", .grantor = "shop_prod"},
                             {.grantee = "shop_prod_ro", .privileges = "U", .grantor = "shop_prod"}}},
                    {.name = "public", .owner = "pg_database_owner", .acl = {}}};
  const Acl reads{{.grantee = "shop_prod_ro", .privileges = "r", .grantor = "shop_prod"}};
  inside.defaults = {{.owner = "shop_prod", .schema = {}, .object = 'r', .acl = reads},
                     {.owner = "shop_prod", .schema = {}, .object = 'S', .acl = reads}};
  inside.extensions = {"plpgsql"};
  return inside;
}

/// The inventory after the declaration and the intent, before any SQL.
inline store::InventoryEntry begun_entry() {
  store::InventoryEntry entry;
  entry.deployment.id = 7;
  entry.deployment.key = {.project = "shop", .deployment = "prod"};
  entry.deployment.cluster = "local";
  entry.deployment.pool = "main";
  entry.deployment.base_name = "shop_prod";
  entry.deployment.database_name = "shop_prod";
  entry.deployment.namespace_ = "rig-shop";
  entry.deployment.file = "projects/shop.yaml";
  entry.deployment.stamp = test_stamp_id;
  entry.credentials = {
      {.id = 1, .slot = store::LoginSlot::a, .login = "shop_prod__a", .generation = 1, .verifier = test_verifier}};
  return entry;
}

/// The inventory after a finished pass over `desired`.
inline store::InventoryEntry finished_entry(const DesiredDeployment& desired) {
  auto entry = begun_entry();
  entry.deployment.state = store::DeploymentState::ready;
  entry.deployment.ready_at = WallTime{};
  entry.deployment.inputs_hash = desired.inputs_hash();
  entry.credentials.front().state = store::CredentialState::done;
  return entry;
}

}  // namespace opi::provision
