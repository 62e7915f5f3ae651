#include "cli/validate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "cli/schema.hpp"

namespace opi::cli {
namespace {

using testing::HasSubstr;

/// A folder of its own for one test, gone with it.
class ValidateCommand : public testing::Test {
 protected:
  ValidateCommand() {
    std::string name = (std::filesystem::temp_directory_path() / "opi-validate-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~ValidateCommand() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::string file(const std::string& name, const std::string& text) const {
    const std::string path = (folder_ / name).string();
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  int run(std::vector<std::string> files, bool json = false) {
    out_.str("");
    err_.str("");
    return run_validate({.files = std::move(files), .json = json}, out_, err_);
  }

  std::filesystem::path folder_;
  std::ostringstream out_;
  std::ostringstream err_;
};

constexpr const char* deployed =
    "components: [{name: web, uses-services: [postgresql-database]}]\ndeployments: [{name: prod, cluster: local, "
    "components: [{reference: web}]}]\n";

TEST_F(ValidateCommand, ValidFilesAreCountedAndExitIsZero) {
  const std::string one = file("a.yaml", "name: a\n");
  EXPECT_EQ(run({one}), 0);
  EXPECT_EQ(out_.str(), "1 file valid\n");
  EXPECT_EQ(run({one, file("b.yaml", "name: b\n")}), 0);
  EXPECT_EQ(out_.str(), "2 files valid\n");
  EXPECT_EQ(err_.str(), "");
}

TEST_F(ValidateCommand, EveryErrorOfEveryFileIsALineWithItsPlaceAndExitIsOne) {
  const std::string bad = file("bad.yaml", "nam: x\ncomponents: [{name: A}]\n");
  const std::string worse = file("worse.yaml", "name: [\n");
  EXPECT_EQ(run({bad, file("good.yaml", "name: x\n"), worse}), 1);
  EXPECT_THAT(err_.str(), HasSubstr(bad + ":1:1: error: nam: unknown field; did you mean \"name\"?\n"));
  EXPECT_THAT(err_.str(), HasSubstr(bad + ":1:1: error: name: is required\n"));
  EXPECT_THAT(err_.str(), HasSubstr(bad + ":2:21: error: components[0].name: \"A\" is not valid"));
  EXPECT_THAT(err_.str(), HasSubstr(worse + ":2:1: error: not valid YAML"));
  EXPECT_EQ(out_.str(), "4 errors in 2 of 3 files\n");
}

TEST_F(ValidateCommand, AFileThatCannotBeReadIsOneClearLine) {
  const std::string missing = (folder_ / "missing.yaml").string();
  EXPECT_EQ(run({missing}), 1);
  EXPECT_EQ(err_.str(), missing + ": error: cannot be opened: No such file or directory [ENOENT]\n");
  EXPECT_EQ(out_.str(), "1 error in 1 of 1 file\n");
  EXPECT_EQ(run({folder_.string()}), 1);
  EXPECT_EQ(err_.str(), folder_.string() + ": error: is a directory, not a file\n");
}

TEST_F(ValidateCommand, AHugeFileIsNotReadWhole) {
  const std::string huge = file("huge.yaml", "name: x\ndescription: " + std::string(3'000'000, 'x') + "\n");
  EXPECT_EQ(run({huge}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("at most 1048576 are read"));
}

TEST_F(ValidateCommand, NamesThatCollideBetweenFilesAreTold) {
  const std::string one = file("one.yaml", std::string("name: team-a\n") + deployed);
  std::string text = std::string("name: team\n") + deployed;
  text.replace(text.find("prod"), 4, "a-prod");
  const std::string two = file("two.yaml", text);
  EXPECT_EQ(run({one, two}), 1);
  EXPECT_THAT(err_.str(), HasSubstr(two +
                                    ":3:22: error: the database name \"team_a_prod\" of team/a-prod is also that of "
                                    "team-a/prod: declared at " +
                                    one + ":3:22"));
  const std::string copy = file("copy.yaml", "name: team-a\n");
  EXPECT_EQ(run({one, copy}), 1);
  EXPECT_EQ(err_.str(), copy + ":1:1: error: name: project \"team-a\" is declared in " + one + ", too\n");
  EXPECT_EQ(run({one, one}), 0) << "the same file twice is one file";
}

TEST_F(ValidateCommand, JsonHoldsTheSame) {
  const std::string good = file("good.yaml", "name: good\n");
  const std::string bad = file("bad.yaml", "name: good\nx: 1\n");
  EXPECT_EQ(run({good, bad}, true), 1);
  EXPECT_EQ(err_.str(), "");
  const boost::json::value document = boost::json::parse(out_.str());
  EXPECT_FALSE(document.at("valid").as_bool());
  EXPECT_EQ(document.at("files").at(0).at("project").as_string(), "good");
  EXPECT_TRUE(document.at("files").at(0).at("valid").as_bool());
  const boost::json::value& error = document.at("files").at(1).at("errors").at(0);
  EXPECT_EQ(error.at("line").as_int64(), 2);
  EXPECT_EQ(error.at("column").as_int64(), 1);
  EXPECT_EQ(error.at("message").as_string(), "x: unknown field");
  EXPECT_EQ(run({good}, true), 0);
}

TEST_F(ValidateCommand, TheExamplesAreValidTogether) {
  const std::string folder = std::string(OPI_SOURCE_DIR) + "/examples/projects/";
  EXPECT_EQ(run({folder + "shop.yaml", folder + "wiki.yaml", folder + "atlas.yaml"}), 0) << err_.str();
}

TEST(SchemaCommand, PrintsJsonAndFailsWhenItCannotBeWritten) {
  std::ostringstream out;
  EXPECT_EQ(run_schema(out), 0);
  EXPECT_TRUE(boost::json::parse(out.str(), {}, {.max_depth = 100}).is_object());
  std::ostringstream broken;
  broken.setstate(std::ios::badbit);
  EXPECT_EQ(run_schema(broken), 1);
}

}  // namespace
}  // namespace opi::cli
