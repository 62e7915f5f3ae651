// Dies after each step of a copy and goes on: the copy is there once, whole, and nothing else is left.
#include "integration/provision/clone_fixture.hpp"

namespace opi::provision {
namespace {

class CloneKillWalk : public CloneTest {
 protected:
  /// Walks a copy whose declaration is `of_copy`; before each walk `prepare` makes the state that it begins from.
  void walk(const std::string& of_copy, const std::string& databases) {
    std::size_t steps = 1;
    for (std::size_t last = 0; last < steps; ++last) {
      SCOPED_TRACE("died at step " + std::to_string(last));
      begin();
      declare_pair(of_copy);
      std::size_t step = 0;
      std::string at;
      const auto dying = cloner([&](std::string_view name) {
        if (step++ != last) return;
        at = name;
        throw std::runtime_error("died");
      });
      apply(*dying, {.project = shop_, .deployment = "copy"});
      steps = std::max(steps, step + (at.empty() ? 0 : 1));
      const auto survivor = cloner();
      const auto report = apply(*survivor, {.project = shop_, .deployment = "copy"});
      ASSERT_FALSE(report.deployments.at(0).error) << at << ": " << report.deployments[0].error->to_string();
      EXPECT_EQ(databases_of_copy(), databases) << at;
      EXPECT_EQ(ask_copy(*survivor, "SELECT count(*) FROM item"), "1000") << at;
      EXPECT_TRUE(plan(*survivor).empty()) << at << to_text(plan(*survivor));
      EXPECT_EQ(query("SELECT count(*) FROM opi.clones WHERE state < 'done'", control_), "0") << at;
      forget_copy();
    }
    EXPECT_GE(steps, 12U);
  }
  virtual void begin() {}
  /// As if it had never been declared.
  void forget_copy() {
    declare_prod();
    execute("DELETE FROM opi.deployments WHERE deployment = 'copy'", control_);
    for (const auto& name : {base("copy"), base("copy") + "_v1"})
      execute("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)");
    for (const auto* suffix : {"__a", "__b", "_ro", ""}) execute("DROP ROLE IF EXISTS " + base("copy") + suffix);
  }
};

TEST_F(CloneKillWalk, AFirstCopy) {
  open();
  const auto manager = cloner();
  declare_prod();
  apply_all(*manager);
  fill_source(*manager);
  walk("    clone-from: prod\n", base("copy"));
}

TEST_F(CloneKillWalk, ACopyByTemplate) {
  open();
  const auto manager = cloner();
  declare_prod();
  apply_all(*manager);
  fill_source(*manager);
  walk("    clone-from: prod\n    clone-method: template\n", base("copy"));
}

class CloneOverKillWalk : public CloneKillWalk {
 protected:
  void begin() override {
    declare_pair("");
    apply_all(*cloner());
  }
};

TEST_F(CloneOverKillWalk, ACopyInPlaceOfADatabaseThatIsKept) {
  open();
  const auto manager = cloner();
  declare_prod();
  apply_all(*manager);
  fill_source(*manager);
  walk("    clone-from: prod\n    force-clone: true\n", base("copy") + " " + base("copy") + "_v1");
}

}  // namespace
}  // namespace opi::provision
