// Sixteen flows in four processes, on the same and on different deployments, at once.

#include "integration/provision/process_fixture.hpp"

namespace opi::provision {
namespace {

class Race : public ProcessTest {
 protected:
  std::string count(const std::string& of, const std::string& where) const {
    return query("SELECT count(*) FROM " + of + " WHERE " + where);
  }
  const std::string shop_ = unique("shop");
};

TEST_F(Race, SixteenFlowsInFourProcessesEndInOneCorrectStateWithoutAnError) {
  declare(shop_, {"a", "b", "c", "d"}, "{extensions: [citext], schemas: [{postfix: audit}]}");
  // Each process runs a pass over all four at once: every deployment is wanted by four processes.
  const auto codes = test::in_processes(4, [&](int) {
    OneProcess process(server_, control_, key_text_, files_);
    return process.apply();
  });
  EXPECT_THAT(codes, ::testing::Each(0)) << "somebody saw an error";
  EXPECT_EQ(query("SELECT count(*) || ' ' || max(generation) FROM opi.credentials", control_), "4 1")
      << "nobody made a second password";
  EXPECT_EQ(query("SELECT count(*) FROM opi.deployments WHERE state = 'ready' AND failures = 0", control_), "4");
  EXPECT_EQ(
      query("SELECT count(*) FROM opi.history WHERE action = 'create_database' AND outcome = 'succeeded'", control_),
      "4")
      << "each database is made by exactly one of them";
  EXPECT_EQ(count("pg_database", "datname LIKE '" + shop_ + "%'"), "4");
  EXPECT_EQ(count("pg_roles", "rolname LIKE '" + shop_ + "%'"), "16");
  EXPECT_EQ(in_process([&](OneProcess& process) {
              if (const int code = process.nothing_left(); code != 0) return code;
              for (const auto* deployment : {"a", "b", "c", "d"}) {
                if (const int code = process.log_in(shop_, deployment); code != 0) return code;
              }
              return 0;
            }),
            0);
}

TEST_F(Race, DifferentEstatesOnOneServerDoNotDisturbEachOther) {
  // Four control databases, as four installations that share a server: nobody's locks are seen by another.
  std::vector<std::string> controls;
  for (int i = 0; i < 4; ++i) controls.push_back(server_.create_database("control"));
  const auto codes = test::in_processes(4, [&](int number) {
    const auto project = "p" + std::to_string(number) + number_;
    const std::map<std::string, std::string> files{
        {"projects/" + project + ".yaml", project_text(project, {"a", "b", "c", "d"})}};
    OneProcess process(server_, controls[static_cast<std::size_t>(number)], key_text_, files);
    if (const int code = process.apply(); code != 0) return code;
    return process.nothing_left();
  });
  EXPECT_THAT(codes, ::testing::Each(0));
}

}  // namespace
}  // namespace opi::provision
