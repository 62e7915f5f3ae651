// Every input that cannot be used gets one clear line and the exit code that says which kind it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "integration/cli/program.hpp"

namespace opi::test {
namespace {

using testing::HasSubstr;

class RefusalTest : public testing::Test {
 protected:
  void expect(const std::vector<std::string>& arguments, int code, const std::string& text,
              const std::vector<std::string>& environment = {}) const {
    const auto result = run_opi(folder_.path(), arguments, environment);
    EXPECT_EQ(result.exit_code, code) << result.error_output;
    EXPECT_THAT(result.error_output, HasSubstr(text));
    EXPECT_EQ(result.error_output.find("terminate called"), std::string::npos);
  }
  OpenFolder folder_;
};

TEST_F(RefusalTest, BadUsageIs64) {
  expect({}, 64, "opi: ");
  expect({"frobnicate"}, 64, "\"frobnicate\" is no command");
  expect({"credentials", "shop"}, 64, "deployment is required");
}

TEST_F(RefusalTest, ABadConfigurationIs78) {
  expect({"serve"}, 78, "no configuration");
  expect({"serve", "--config", "missing.yaml"}, 78, "missing.yaml");
  folder_.write("opi.yaml", "databases:\n  main:\n    hosst: x\n");
  expect({"serve"}, 78, "opi.yaml:3:5: ");
  expect({"config", "check"}, 78, "hosst");
  expect({"plan"}, 78, "hosst");
  folder_.write("opi.yaml", "databases: {main: {host: 127.0.0.1}}\n");
  expect({"serve"}, 78, "secrets.platform_key");
}

TEST_F(RefusalTest, ProjectFilesThatAreWrongAreAllNamedAndTheCodeIs1) {
  folder_.write("bad.yaml", "name: Bad Name\ndeployments: 7\n");
  expect({"validate", "bad.yaml"}, 1, "bad.yaml:1:7: error: ");
  expect({"validate", "bad.yaml"}, 1, "bad.yaml:2:14: error: ");
  expect({"validate", "missing.yaml"}, 1, "missing.yaml");
}

TEST_F(RefusalTest, ADemoWithoutExamplesOrWithoutAFolderToWriteIs1) {
  expect({"demo", "--once", "--examples", "nothing"}, 1, "no project files in nothing");
  expect({"demo", "--once", "--directory", "/proc/opi"}, 1, "cannot make the folder /proc/opi");
}

}  // namespace
}  // namespace opi::test
