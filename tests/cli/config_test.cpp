#include "cli/config.hpp"

#include <gmock/gmock.h>

#include <boost/json/parse.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace opi::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

class ConfigCommands : public testing::Test {
 protected:
  ConfigCommands() {
    std::string name = (std::filesystem::temp_directory_path() / "opi-config-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    file_ = (folder_ / "opi.yaml").string();
  }
  ~ConfigCommands() override { std::filesystem::remove_all(folder_); }

  void write(std::string_view text) const { std::ofstream{file_, std::ios::binary} << text; }

  std::filesystem::path folder_;
  std::string file_;
  std::ostringstream out_;
  std::ostringstream errors_;
};

TEST_F(ConfigCommands, CheckOfAGoodFileSaysWhatItConfigures) {
  write("databases: {main: {}, analytics: {}}\nprojects: {repository: {url: /srv/p.git}}\n");
  EXPECT_EQ(run_config_check(file_, {}, out_, errors_), 0);
  EXPECT_EQ(out_.str(), file_ + ": ok, 2 databases (main, analytics), projects from /srv/p.git\n");
  EXPECT_EQ(errors_.str(), "");
}

TEST_F(ConfigCommands, CheckOfABadFilePrintsEveryErrorOnALineOfItsOwnAndSays78) {
  write("databases: {main: {port: 0}}\nhtp: {}\n");
  EXPECT_EQ(run_config_check(file_, {{"OPI_HTTP__PORT", "x"}}, out_, errors_), 78);
  EXPECT_EQ(out_.str(), "");
  EXPECT_EQ(errors_.str(),
            file_ + ":1:26: databases.main.port: 0 is out of range; write a whole number from 1 to 65535\n" + file_ +
                ":2:1: htp: is not a known field; did you mean http?\n"
                "opi: environment variable OPI_HTTP__PORT: http.port: \"x\" is not a whole number; write one from 0 to "
                "65535\n");
}

TEST_F(ConfigCommands, AMissingFileIsOneLineAnd78) {
  EXPECT_EQ(run_config_check(file_, {}, out_, errors_), 78);
  EXPECT_EQ(errors_.str(),
            "opi: " + file_ +
                ": cannot be read: No such file or directory; name a configuration file with --config or "
                "OPI_CONFIG\n");
}

TEST_F(ConfigCommands, ShowMasksSecretsAndNamesTheOriginOfEachValue) {
  write("databases:\n  main:\n    password: hunter2\nsecrets:\n  platform_key: AGE-SECRET-KEY-1\n");
  const app::Environment environment{{"OPI_HTTP__PORT", "9090"}, {"OPI_PROJECTS__REPOSITORY__PASSWORD", "hunter3"}};
  EXPECT_EQ(run_config_show(file_, false, environment, out_, errors_), 0);
  const std::string text = out_.str();
  EXPECT_THAT(text, Not(HasSubstr("hunter")));
  EXPECT_THAT(text, Not(HasSubstr("AGE-SECRET")));
  EXPECT_THAT(text, testing::ContainsRegex("databases\\.main\\.password +\\*\\*\\*\\* +" + file_ + ":3:15\n"));
  EXPECT_THAT(text, testing::ContainsRegex("http\\.port +9090 +environment variable OPI_HTTP__PORT\n"));
  EXPECT_THAT(text, testing::ContainsRegex("probes\\.port +8001 +default\n"));
}

TEST_F(ConfigCommands, ShowAsJsonHasEveryFieldAndNoSecret) {
  write("databases:\n  main:\n    password: hunter2\n");
  EXPECT_EQ(run_config_show(file_, true, {}, out_, errors_), 0);
  EXPECT_THAT(out_.str(), Not(HasSubstr("hunter2")));
  const auto json = boost::json::parse(out_.str()).as_object();
  EXPECT_EQ(json.at("file").as_string(), file_);
  bool found = false;
  for (const auto& field : json.at("fields").as_array()) {
    if (field.at("path").as_string() != "databases.main.password") continue;
    found = true;
    EXPECT_EQ(field.at("value").as_string(), "****");
    EXPECT_EQ(field.at("origin").as_string(), file_ + ":3:15");
    EXPECT_EQ(field.at("variable").as_string(), "OPI_DATABASES__MAIN__PASSWORD");
  }
  EXPECT_TRUE(found);
}

TEST_F(ConfigCommands, ShowOfABadFilePrintsTheErrorsInstead) {
  write("databases: [a]\n");
  EXPECT_EQ(run_config_show(file_, false, {}, out_, errors_), 78);
  EXPECT_EQ(out_.str(), "");
  EXPECT_THAT(errors_.str(), HasSubstr(file_ + ":1:12: databases: is a list; write the fields of databases\n"));
}

}  // namespace
}  // namespace opi::cli
