#pragma once
/// @file
/// A project whose deployment "copy" is declared as a copy of "prod", on a real server with real pg_dump and
/// pg_restore.

#include "integration/provision/provision_fixture.hpp"

namespace opi::provision {

class CloneTest : public ProvisionTest {
 protected:
  void declare_pair(const std::string& of_copy = "    clone-from: prod\n",
                    const std::string& config = "{schemas: [{postfix: audit}]}") {
    auto text = project_text(shop_, {"prod"}, config) + "  - name: copy\n    cluster: local\n" +
                "    components: [{reference: web, image: registry.example/web:1}]\n" + of_copy;
    for (const auto& error :
         projects_.replace("projects/" + shop_ + ".yaml", "b" + std::to_string(++blobs_), "c1", text))
      ADD_FAILURE() << error.to_string();
  }
  void declare_prod() { declare(shop_, {"prod"}, "{schemas: [{postfix: audit}]}"); }
  ManagerSettings clone_settings() const {
    auto settings = this->settings();
    const auto programs = test::postgres_program_directory();
    settings.clone.pg_dump = programs / "pg_dump";
    settings.clone.pg_restore = programs / "pg_restore";
    return settings;
  }
  std::unique_ptr<DatabaseManager> cloner(StepHook hook = {}) {
    return std::make_unique<DatabaseManager>(projects_, main(), clone_settings(), tools(std::move(hook)));
  }
  /// What the application of prod has made: a table with a sequence, a view, a function, an extra schema, a large
  /// object.
  void fill_source(DatabaseManager& manager) {
    auto tenant = log_in(credentials(manager, shop_, "prod"));
    if (!tenant) throw std::runtime_error(tenant.error().to_string());
    for (const auto* sql : {"CREATE TABLE item (id serial PRIMARY KEY, name text NOT NULL)",
                            "INSERT INTO item (name) SELECT 'item ' || i FROM generate_series(1, 1000) i",
                            "CREATE VIEW named AS SELECT name FROM item", "COMMENT ON TABLE item IS 'it''s kept'",
                            "CREATE FUNCTION items() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM item'",
                            "SELECT lo_from_bytea(0, 'large')"}) {
      if (const auto answer = ask(*tenant, sql); answer.starts_with("error")) throw std::runtime_error(answer + sql);
    }
    ask(*tenant, "CREATE TABLE " + base("prod") + "_audit.entry AS SELECT 1 AS one");
    ask(*tenant, "CREATE FUNCTION " + base("prod") +
                     ".qualified() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM " + base("prod") + ".item'");
  }
  std::string base(const std::string& deployment) const { return shop_ + "_" + deployment; }
  std::string databases_of_copy() const {
    return query(
        "SELECT coalesce(string_agg(datname, ' ' ORDER BY datname), '') FROM pg_database WHERE datname LIKE '" +
        base("copy") + "%'");
  }
  /// As the application of the copy finds it.
  std::string ask_copy(DatabaseManager& manager, const std::string& sql) {
    auto tenant = log_in(credentials(manager, shop_, "copy"));
    return tenant ? ask(*tenant, sql) : tenant.error().to_string();
  }
  const std::string shop_ = unique("shop");
};

}  // namespace opi::provision
