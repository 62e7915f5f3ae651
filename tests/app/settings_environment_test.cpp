// Every field of the table can be overridden by its variable, and what is said about that names the variable.
#include <gmock/gmock.h>

#include <fstream>
#include <set>
#include <sstream>

#include "app/settings_fields.hpp"
#include "app/settings_loader.hpp"

namespace opi::app {
namespace {

using testing::ElementsAre;

Checked<Settings> parsed(std::string_view text, const Environment& environment) {
  return parse_settings(text, "opi.yaml", "/etc/opi", environment);
}

std::vector<std::string> lines(const Checked<Settings>& settings) {
  std::vector<std::string> result;
  if (settings) return result;
  for (const Error& error : settings.error()) result.push_back(error.to_string());
  return result;
}

constexpr const char* some_recipient = "age1tpvrerc99al9t4sdqf0gn795yu72uan4dx2q9nxkv7sgtg3n855qe2mukc";

constexpr std::string_view two_pools = "databases: {main: {}, second-one: {}}\n";

std::vector<std::string> all_paths() {
  Settings settings;
  settings.databases["main"] = {};
  settings.databases["second-one"] = {};
  std::vector<std::string> paths;
  for (const Field& field : fields_of(settings)) paths.push_back(field.path);
  return paths;
}

/// A value that is right for the field and not its default.
std::string another_value(const Field& field) {
  if (field.path.ends_with("_file")) return OPI_SOURCE_DIR "/CMakeLists.txt";  // exists, so that it can be read
  if (field.path.ends_with(".address")) return "0.0.0.0";
  switch (field.kind) {
    case FieldKind::text:
      if (field.takes == "a level of Pod Security") return "privileged";
      if (field.path.ends_with("proxy")) return "http://proxy.example.org:3128";
      return field.path.ends_with("url") ? "https://git.example.org/p.git" : "other";
    case FieldKind::number:
      if (field.path.ends_with("pool.max") || field.path.ends_with(".connections")) return "60";
      return field.path.ends_with("port") ? "7777" : "3";
    case FieldKind::fraction: return "0.5";
    case FieldKind::duration: return "7777ms";
    case FieldKind::size: return "7777";
    case FieldKind::choice: {
      const std::string last = field.takes.substr(field.takes.rfind(' ') + 1);
      return last;
    }
    case FieldKind::list:
      if (field.takes == "a list of key=value" || field.takes == "a list of key=text") return "one=1, two=2";
      if (field.takes == "a list of public keys") return some_recipient;
      return field.path.ends_with("approval") ? "drop, clone-over" : "one, two";
    case FieldKind::secret: return "hunter2";
    case FieldKind::path: return "/some/where";
  }
  return "";
}

class EveryField : public testing::TestWithParam<std::string> {};

TEST_P(EveryField, IsOverriddenByItsVariableWhichItsOriginNames) {
  Settings pattern;
  pattern.databases["main"] = {};
  pattern.databases["second-one"] = {};
  std::string variable;
  std::string value;
  std::string initial;
  FieldKind kind{};
  for (const Field& field : fields_of(pattern)) {
    if (field.path != GetParam()) continue;
    variable = field.variable();
    value = another_value(field);
    initial = field.show();
    kind = field.kind;
  }
  // A server of our own needs to know where it keeps its password.
  const std::string own = "databases: {main: {password_file: " OPI_SOURCE_DIR "/CMakeLists.txt}, second-one: {}}\n";
  // Who verifies needs keys.
  const std::string keys = std::string(two_pools) +
                           "projects: {repository: {verify: {allowed_signers_file: " OPI_SOURCE_DIR
                           "/CMakeLists.txt}}}\n";
  std::string_view text = two_pools;
  if (GetParam() == "private_postgres.directory") text = own;
  if (GetParam() == "projects.repository.verify.mode") text = keys;
  auto settings = parsed(text, {{variable, value}});
  if (GetParam() == "databases.main.database") {
    EXPECT_THAT(lines(settings),
                ElementsAre("environment variable OPI_DATABASES__MAIN__DATABASE: databases.main.database: "
                            "main connects to the control database; write its name in control.database"));
    return;
  }
  ASSERT_TRUE(settings.has_value()) << lines(settings).front();
  bool found = false;
  for (const Field& field : fields_of(*settings)) {
    if (field.path != GetParam()) {
      EXPECT_FALSE(field.origin->source == Origin::Source::environment) << field.path << " took the variable too";
      continue;
    }
    found = true;
    EXPECT_EQ(field.show(), kind == FieldKind::secret ? "****" : value);
    EXPECT_NE(field.show(), initial) << "the test must change the value";
    EXPECT_EQ(field.origin->to_string(), "environment variable " + variable);
  }
  EXPECT_TRUE(found);
}

INSTANTIATE_TEST_SUITE_P(Table, EveryField, testing::ValuesIn(all_paths()), [](const auto& info) {
  std::string name = info.param;
  for (char& c : name) {
    if (c == '.' || c == '-') c = '_';
  }
  return name;
});

TEST(SettingsEnvironment, NoTwoFieldsShareAVariable) {
  std::set<std::string> variables;
  for (const std::string& path : all_paths()) EXPECT_TRUE(variables.insert(variable_of(path)).second) << path;
  EXPECT_GE(variables.size(), 80U);
}

TEST(SettingsEnvironment, AVariableBeatsTheFile) {
  const auto settings = parsed("databases: {main: {host: a}}\nhttp: {port: 1000}\n", {{"OPI_HTTP__PORT", "2000"}});
  ASSERT_TRUE(settings.has_value());
  EXPECT_EQ(*settings->http.port, 2000);
  EXPECT_EQ(*settings->databases.at("main").host, "a");
}

TEST(SettingsEnvironment, AVariableForOneOfTwoRivalsTakesThePlaceOfTheFilesOther) {
  const auto settings = parsed("databases: {main: {password_file: /nonexistent, hosts: [a, b]}}\n",
                               {{"OPI_DATABASES__MAIN__PASSWORD", "pw"}, {"OPI_DATABASES__MAIN__HOST", "c"}});
  ASSERT_TRUE(settings.has_value()) << lines(settings).front();
  const DatabaseSettings& main = settings->databases.at("main");
  EXPECT_EQ(main.password.read().value().reveal(), "pw");
  EXPECT_EQ(*main.password.file, "");
  EXPECT_TRUE(main.hosts->empty());
  EXPECT_EQ(*main.host, "c");
}

TEST(SettingsEnvironment, TwoRivalVariablesAreRefused) {
  EXPECT_THAT(
      lines(parsed(two_pools, {{"OPI_DATABASES__MAIN__PASSWORD", "pw"}, {"OPI_DATABASES__MAIN__PASSWORD_FILE", "/f"}})),
      ElementsAre("environment variable OPI_DATABASES__MAIN__PASSWORD_FILE: databases.main.password_file: stands "
                  "beside OPI_DATABASES__MAIN__PASSWORD; set one of the two"));
}

TEST(SettingsEnvironment, PoolsMayExistInVariablesAlone) {
  const auto settings = parsed("", {{"OPI_DATABASES__MAIN__HOST", "a"}, {"OPI_DATABASES__SECOND_ONE__PORT", "7"}});
  ASSERT_TRUE(settings.has_value()) << lines(settings).front();
  EXPECT_EQ(*settings->databases.at("main").host, "a");
  EXPECT_EQ(*settings->databases.at("second_one").port, 7);
  EXPECT_TRUE(settings->databases.at("main").open_to("any"));
  EXPECT_FALSE(settings->databases.at("second_one").open_to("any"));
}

TEST(SettingsEnvironment, MisspelledVariablesAreRefusedAndForeignOnesAreNot) {
  EXPECT_THAT(lines(parsed(two_pools, {{"OPI_HTTP__PRT", "1"}})),
              ElementsAre("environment variable \"OPI_HTTP__PRT\": names no field; did you mean OPI_HTTP__PORT?"));
  EXPECT_THAT(lines(parsed(two_pools, {{"OPI_DATABASES__MAIN__POOL__MIXIN__X", "1"}})).size(), 1U);
  EXPECT_TRUE(parsed(two_pools, {{"OPI_SERVICE_HOST", "10.0.0.1"}, {"OPI_PORT", "tcp://10.0.0.1:80"}, {"PATH", "/bin"}})
                  .has_value());
}

TEST(SettingsEnvironment, ErrorsNeverShowASecret) {
  const auto settings =
      parsed(two_pools, {{"OPI_DATABASES__MAIN__PASSWORD", std::string("hunter2\0x", 9)}, {"OPI_HTTP__PORT", "x"}});
  const auto all = lines(settings);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0],
            "environment variable OPI_DATABASES__MAIN__PASSWORD: databases.main.password: has a zero byte in it; "
            "write a text");
}

TEST(SettingsEnvironment, TheSopsVariableIsUsedWhenNothingElseNamesThePlatformKey) {
  const Environment sops{{"SOPS_AGE_KEY_CONTENT", "AGE-SECRET-KEY-1SOPS"}};
  const auto alone = parsed(two_pools, sops);
  ASSERT_TRUE(alone.has_value());
  EXPECT_EQ(alone->secrets.platform_key.read().value().reveal(), "AGE-SECRET-KEY-1SOPS");
  EXPECT_EQ(alone->secrets.platform_key.origin_text(), "environment variable SOPS_AGE_KEY_CONTENT");
  const auto beside = parsed(std::string(two_pools) + "secrets: {platform_key: AGE-FILE}\n", sops);
  ASSERT_TRUE(beside.has_value());
  EXPECT_EQ(beside->secrets.platform_key.read().value().reveal(), "AGE-FILE");
}

TEST(SettingsManual, IsTheCommittedDocument) {
  std::ifstream file{OPI_SOURCE_DIR "/docs/configuration.md", std::ios::binary};
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_TRUE(text.str() == settings_manual()) << "docs/configuration.md is not what the table says; "
                                                  "run: opi config manual > docs/configuration.md";
}

TEST(SettingsManual, DocumentsEveryFieldOnceWithAMeaning) {
  Settings settings;
  settings.databases["NAME"] = {};
  const std::string manual = settings_manual();
  for (const Field& field : fields_of(settings)) {
    const std::string row = "| `" + field.path + "` |";
    const auto at = manual.find(row);
    ASSERT_NE(at, std::string::npos) << field.path;
    EXPECT_EQ(manual.find(row, at + 1), std::string::npos) << field.path;
    EXPECT_TRUE(field.about.ends_with('.')) << field.path;
    EXPECT_FALSE(field.takes.empty()) << field.path;
  }
}

}  // namespace
}  // namespace opi::app
