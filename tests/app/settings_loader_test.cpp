#include "app/settings_loader.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "app/settings_rooms.hpp"

namespace opi::app {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view smallest = "databases:\n  main:\n    host: db\n";

Checked<Settings> parsed(std::string_view text, const Environment& environment = {}) {
  return parse_settings(text, "opi.yaml", "/etc/opi", environment);
}

std::vector<std::string> lines(const Checked<Settings>& settings) {
  std::vector<std::string> result;
  if (settings) return result;
  for (const Error& error : settings.error()) result.push_back(error.to_string());
  return result;
}

/// A folder of its own for one test, gone afterwards.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "opi-settings-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string file(const std::string& name) const { return (path_ / name).string(); }
  std::string write(const std::string& name, std::string_view text) const {
    std::ofstream{file(name), std::ios::binary} << text;
    return file(name);
  }

 private:
  std::filesystem::path path_;
};

TEST(SettingsLoader, TheSmallestFileLeavesEveryOtherFieldAtItsDefault) {
  const auto settings = parsed(smallest);
  ASSERT_TRUE(settings.has_value()) << lines(settings).front();
  EXPECT_EQ(*settings->databases.at("main").host, "db");
  EXPECT_EQ(settings->databases.at("main").host.origin.to_string(), "opi.yaml:3:11");
  EXPECT_EQ(*settings->http.port, 8080);
  EXPECT_EQ(settings->http.port.origin.to_string(), "default");
  EXPECT_EQ(*settings->probes.port, 8001);
  EXPECT_EQ(*settings->http.address, "127.0.0.1");
  EXPECT_EQ(*settings->control.database, "opi");
  EXPECT_EQ(*settings->cluster.namespace_prefix, "rig-");
  EXPECT_FALSE(settings->projects.repository.configured());
  EXPECT_EQ(*settings->projects.repository.poll_interval, std::chrono::seconds{120});
  EXPECT_TRUE(settings->databases.at("main").open_to("any"));
}

TEST(SettingsLoader, AFullFileIsReadAsWritten) {
  const auto settings = parsed(R"(
environment: production
log: {level: debug, format: json}
cluster:
  name: odcn-production
  namespace_prefix: ""
control:
  database: control
databases:
  main:
    host: /run/postgresql
    port: 5433
    user: admin
    password: "12345"
    tls: {mode: verify-full, ca_file: ca.pem}
    pool: {min: 0, max: 3, lifetime_jitter: 0, idle_timeout: 0, reset: always}
  analytics:
    hosts: [db1, "db2:5434"]
    port: 6000
    database: admin
    projects: [shop, wiki]
projects:
  repository:
    url: https://git.example.org/p.git
    paths: a/*.yaml
    poll_interval: 1s
http:
  port: 0
  limits: {header_bytes: 32KiB, body_bytes: 1000}
state: {directory: state}
)");
  ASSERT_TRUE(settings.has_value()) << lines(settings).front();
  EXPECT_EQ(*settings->environment, "production");
  EXPECT_EQ(*settings->log.level, LogLevel::debug);
  EXPECT_EQ(*settings->log.format, LogFormat::json);
  EXPECT_EQ(*settings->cluster.namespace_prefix, "");
  const auto configs = pool_configs(*settings);
  ASSERT_EQ(configs.size(), 2U);
  EXPECT_EQ(configs[0].name, "main");
  EXPECT_THAT(configs[0].server.hosts, ElementsAre(pg::HostPort{"/run/postgresql", 5433}));
  EXPECT_EQ(configs[0].server.database, "control");
  EXPECT_EQ(configs[0].server.tls, pg::TlsMode::verify_full);
  EXPECT_EQ(configs[0].server.tls_ca_file, "/etc/opi/ca.pem");
  EXPECT_EQ(configs[0].server.password().value().reveal(), "12345");
  EXPECT_EQ(configs[0].pool.min, 0U);
  EXPECT_EQ(configs[0].pool.reset, pg::ResetProfile::always);
  EXPECT_EQ(configs[0].pool.idle_timeout.count(), 0);
  EXPECT_THAT(configs[1].server.hosts, ElementsAre(pg::HostPort{"db1", 6000}, pg::HostPort{"db2", 5434}));
  EXPECT_EQ(configs[1].server.database, "admin");
  EXPECT_FALSE(configs[1].server.password);
  EXPECT_TRUE(settings->databases.at("analytics").open_to("shop"));
  EXPECT_FALSE(settings->databases.at("analytics").open_to("other"));
  EXPECT_THAT(*settings->projects.repository.paths, ElementsAre("a/*.yaml"));
  EXPECT_EQ(*settings->http.limits.header_bytes, 32U << 10U);
  EXPECT_EQ(mirror_directory(*settings, default_repository), "/etc/opi/state/mirror");
}

struct Wrong {
  const char* name;
  const char* text;
  const char* message;
};

class WrongSettings : public testing::TestWithParam<Wrong> {};

TEST_P(WrongSettings, AreRefusedWithPlaceFieldAndRemedy) {
  const auto settings = parsed(GetParam().text);
  EXPECT_THAT(lines(settings), ElementsAre(GetParam().message));
}

constexpr Wrong wrong_settings[] = {
    {"Empty", "",
     "opi.yaml:1:1: databases.main: is missing; write at least host and user of the server that provisions"},
    {"MainIsMissing", "databases: {analytics: {host: db}}",
     "opi.yaml:1:1: databases.main: is missing; write at least host and user of the server that provisions"},
    {"NoMapping", "- a\n", "opi.yaml:1:1: is a list; write the sections of the configuration"},
    {"UnknownSectionNearAnother", "databases: {main: {}}\nhtpp: {}\n",
     "opi.yaml:2:1: htpp: is not a known field; did you mean http?"},
    {"UnknownSection", "databases: {main: {}}\nkitchen: {}\n",
     "opi.yaml:2:1: kitchen: is not a known field; known here: environment, log, cluster, control, databases, "
     "private_postgres, "
     "projects, "
     "secrets, http, probes, provision, clone, rotation, removal, drift, history, state"},
    {"UnknownFieldDeep", "databases:\n  main:\n    pool:\n      maxx: 3\n",
     "opi.yaml:4:7: databases.main.pool.maxx: is not a known field; did you mean max?"},
    {"SectionIsAText", "databases: {main: {}}\nhttp: yes please\n",
     "opi.yaml:2:7: http: is a string; write the fields of http"},
    {"NumberIsText", "databases: {main: {}}\nhttp:\n  port: \"8080\"\n",
     "opi.yaml:3:9: http.port: \"8080\" is a text; write a whole number from 0 to 65535 without quotes"},
    {"NumberIsAWord", "databases: {main: {}}\nhttp:\n  port: ten\n",
     "opi.yaml:3:9: http.port: \"ten\" is not a whole number; write one from 0 to 65535"},
    {"NumberOutOfRange", "databases: {main: {}}\nhttp:\n  port: 65536\n",
     "opi.yaml:3:9: http.port: 65536 is out of range; write a whole number from 0 to 65535"},
    {"NumberNegative", "databases: {main: {}}\nhttp:\n  port: -1\n",
     "opi.yaml:3:9: http.port: \"-1\" is not a whole number; write one from 0 to 65535"},
    {"NumberIsABoolean", "databases: {main: {}}\nhttp:\n  port: true\n",
     "opi.yaml:3:9: http.port: true is a boolean; write a whole number from 0 to 65535"},
    {"NumberIsAList", "databases: {main: {}}\nhttp:\n  port: [1]\n",
     "opi.yaml:3:9: http.port: is a list; write a whole number from 0 to 65535"},
    {"FieldWithoutValue", "databases: {main: {}}\nhttp:\n  port:\n",
     "opi.yaml:3:8: http.port: is empty; write a whole number from 0 to 65535, or leave the field out"},
    {"TextIsANumber", "environment: 15\ndatabases: {main: {}}\n",
     "opi.yaml:1:14: environment: 15 is an integer; write a text in quotes"},
    {"TextIsEmpty", "environment: ''\ndatabases: {main: {}}\n", "opi.yaml:1:14: environment: is empty; write a text"},
    {"DurationWithoutUnit", "databases: {main: {lock_timeout: 30}}\n",
     "opi.yaml:1:34: databases.main.lock_timeout: 30 has no unit; write 30s or 30ms"},
    {"DurationTooShort", "databases: {main: {connect_timeout: 0}}\n",
     "opi.yaml:1:37: databases.main.connect_timeout: \"0\" is too short; write at least 1ms"},
    {"UnknownChoice", "databases: {main: {}}\nlog: {level: loud}\n",
     "opi.yaml:2:14: log.level: \"loud\" is not known; write debug, info, warn or error"},
    {"PasswordIsANumberAndIsNotShown", "databases:\n  main:\n    password: 123456\n",
     "opi.yaml:3:15: databases.main.password: is an integer; write a text, in quotes"},
    {"PasswordTwice", "databases:\n  main:\n    password: a\n    password_file: /b\n",
     "opi.yaml:4:20: databases.main.password_file: stands beside password; write one of the two"},
    {"HostTwice", "databases:\n  main:\n    host: a\n    hosts: [b]\n",
     "opi.yaml:4:12: databases.main.hosts: stands beside host; write one of the two"},
    {"HostWithPort", "databases: {main: {host: \"db:5432\"}}\n",
     "opi.yaml:1:26: databases.main.host: \"db:5432\" has a port in it; write the host here and the port in port"},
    {"WrongItem", "databases:\n  main:\n    hosts:\n      - a\n      - b:99999\n",
     "opi.yaml:5:9: databases.main.hosts[1]: \"b:99999\" is not a host; write a name, an address, name:port, "
     "[v6-address]:port, or the absolute directory of a unix socket"},
    {"ItemTwice", "databases: {main: {hosts: [a, a]}}\n",
     "opi.yaml:1:27: databases.main.hosts: \"a\" stands twice; write it once"},
    {"NoItems", "databases: {main: {hosts: []}}\n", "opi.yaml:1:27: databases.main.hosts: is empty; write at least 1"},
    {"MinOverMax", "databases: {main: {pool: {min: 5, max: 4}}}\n",
     "opi.yaml:1:32: databases.main.pool.min: 5 is more than pool.max (4); write at most 4, or raise pool.max"},
    {"BudgetBelowMax", "databases: {main: {connections: 11}}\n",
     "opi.yaml:1:33: databases.main.connections: 11 is less than pool.max (10) and 2 beside it; write at least 12, or "
     "lower pool.max"},
    {"MaxBelowDefaultMin", "databases: {main: {pool: {max: 1}}}\n",
     "opi.yaml:1:32: databases.main.pool.max: 1 is less than pool.min (2); write at least 2, or lower pool.min"},
    {"ShareOverOne", "databases: {main: {pool: {lifetime_jitter: 1.5}}}\n",
     "opi.yaml:1:44: databases.main.pool.lifetime_jitter: \"1.5\" is not a share; write a number from 0 to 1, like "
     "0.2"},
    {"DatabaseOfMain", "databases: {main: {database: x}}\n",
     "opi.yaml:1:30: databases.main.database: main connects to the control database; write its name in "
     "control.database"},
    {"EverybodyAndSomebody", "databases: {main: {}, b: {projects: [\"*\", shop]}}\n",
     "opi.yaml:1:37: databases.b.projects: \"*\" stands for all projects; write it alone"},
    {"BindingWithoutTls", "databases: {main: {tls: {mode: disable, channel_binding: require}}}\n",
     "opi.yaml:1:58: databases.main.tls.channel_binding: require needs TLS; write require or verify-full in tls.mode"},
    {"CaWithoutTls", "databases: {main: {tls: {mode: disable, ca_file: /a}}}\n",
     "opi.yaml:1:50: databases.main.tls.ca_file: is of no use while tls.mode is disable; write verify-full there, or "
     "leave this out"},
    {"SamePorts", "databases: {main: {}}\nhttp: {port: 9000}\nprobes: {port: 9000}\n",
     "opi.yaml:3:16: probes.port: 9000 is http.port too; write another port"},
    {"SamePortAsTheDefault", "databases: {main: {}}\nhttp: {port: 8001, address: 0.0.0.0}\n",
     "opi.yaml:2:14: http.port: 8001 is probes.port too; write another port"},
    {"AddressIsAName", "databases: {main: {}}\nhttp: {address: example.org}\n",
     "opi.yaml:2:17: http.address: \"example.org\" is not an address of this machine; write one like 127.0.0.1, ::1 or "
     "0.0.0.0"},
    {"PoolName", "databases: {main: {}, Big__One: {}}\n",
     "opi.yaml:1:23: databases: \"Big__One\" is not a pool's name; write at most 32 lower-case letters, digits and "
     "single "
     "dashes or underscores, a letter first"},
    {"PoolNamesThatShareVariables", "databases: {main: {}, a-b: {}, a_b: {}}\n",
     "opi.yaml:1:32: databases.a_b: would have the same environment variables as databases.a-b; write another name"},
    {"PasswordInTheUrlIsNotShown",
     "databases: {main: {}}\nprojects:\n  repository:\n    url: https://me:hunter2@git/p\n",
     "opi.yaml:4:10: projects.repository.url: has a password in it; write it in password or password_file, and its "
     "user "
     "in username"},
    {"UrlThatIsAnOption", "databases: {main: {}}\nprojects: {repository: {url: --upload-pack=x}}\n",
     "opi.yaml:2:30: projects.repository.url: \"--upload-pack=x\" is not an address that Git takes; write one like "
     "https://host/path.git"},
    {"PathOutside", "databases: {main: {}}\nprojects: {repository: {paths: [../x]}}\n",
     "opi.yaml:2:33: projects.repository.paths[0]: \"../x\" leaves the repository; write a pattern like "
     "projects/*.yaml"},
    {"MissingSecretFile", "databases: {main: {password_file: /nonexistent/secret}}\n",
     "opi.yaml:1:35: databases.main.password_file: \"/nonexistent/secret\" cannot be read: No such file or directory; "
     "write the name of a file that holds the secret"},
    {"SecondDocument", "databases: {main: {}}\n---\na: 1\n", "opi.yaml:3:1: a second document begins here; write one"},
};

INSTANTIATE_TEST_SUITE_P(Table, WrongSettings, testing::ValuesIn(wrong_settings),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(SettingsLoader, SaysEverythingThatIsWrongAtOnceInTheOrderOfTheFile) {
  const auto settings = parsed("http: {port: 99999}\ndatabases:\n  main: {user: 1, pool: {maxx: 1}}\nfoo: 1\n",
                               {{"OPI_PROBES__PORT", "x"}});
  const auto all = lines(settings);
  ASSERT_EQ(all.size(), 5U);
  EXPECT_THAT(all[0], HasSubstr("opi.yaml:1:14: http.port: "));
  EXPECT_THAT(all[1], HasSubstr("opi.yaml:3:16: databases.main.user: "));
  EXPECT_THAT(all[2], HasSubstr("opi.yaml:3:26: databases.main.pool.maxx: "));
  EXPECT_THAT(all[3], HasSubstr("opi.yaml:4:1: foo: "));
  EXPECT_EQ(
      all[4],
      "environment variable OPI_PROBES__PORT: probes.port: \"x\" is not a whole number; write one from 0 to 65535");
}

TEST(SettingsLoader, DuplicateKeysAndBrokenYamlAreRefusedWithTheirPlace) {
  EXPECT_THAT(lines(parsed("http: {}\nhttp: {}\n")),
              ElementsAre(HasSubstr("opi.yaml:2:1: the key \"http\" is here twice")));
  const auto broken = lines(parsed("http: {port: 1\n"));
  ASSERT_EQ(broken.size(), 1U);
  EXPECT_THAT(broken[0], testing::StartsWith("opi.yaml:"));
}

TEST(SettingsLoader, AMissingUnreadableOrHugeFileIsOneLine) {
  const Folder folder;
  const std::string missing = folder.file("none.yaml");
  EXPECT_THAT(
      lines(load_settings(missing, {})),
      ElementsAre(missing + ": cannot be read: No such file or directory; name a configuration file with --config "
                            "or OPI_CONFIG"));
  EXPECT_THAT(lines(load_settings(folder.file("."), {})), ElementsAre(HasSubstr("is not a regular file")));
  const std::string huge = folder.write("huge.yaml", std::string(settings_bytes_max + 1, '#'));
  EXPECT_THAT(lines(load_settings(huge, {})), ElementsAre(HasSubstr("has more than 1MiB bytes")));
}

TEST(SettingsLoader, RelativeFileNamesCountFromTheFolderOfTheFile) {
  const Folder folder;
  folder.write("pw", "hunter2\n");
  const std::string file = folder.write("opi.yaml", "databases: {main: {password_file: pw}}\n");
  const auto settings = load_settings(file, {});
  ASSERT_TRUE(settings.has_value()) << lines(settings).front();
  EXPECT_EQ(*settings->databases.at("main").password.file, folder.file("pw"));
  EXPECT_EQ(settings->databases.at("main").password.origin_text(),
            "file " + folder.file("pw") + ", named by " + file + ":1:35");
}

TEST(SettingsLoader, APasswordFileIsReadAnewAtEachDial) {
  const Folder folder;
  const std::string secret = folder.write("pw", "first\r\n");
  const auto settings = parsed("databases: {main: {password_file: " + secret + "}}\n");
  ASSERT_TRUE(settings.has_value()) << lines(settings).front();
  const auto provider = pool_config(*settings, "main").server.password;
  EXPECT_EQ(provider().value().reveal(), "first");
  folder.write("pw", "second");
  EXPECT_EQ(provider().value().reveal(), "second");
  folder.write("pw", "");
  const auto empty = provider();
  ASSERT_FALSE(empty.has_value());
  EXPECT_EQ(empty.error().to_string(), "the secret in " + secret + ": is empty");
}

TEST(SettingsLoader, TheChosenFileBeatsTheVariableWhichBeatsTheUsualPlaces) {
  EXPECT_EQ(find_settings_file("a.yaml", {{"OPI_CONFIG", "b.yaml"}}), "a.yaml");
  EXPECT_EQ(find_settings_file("", {{"OPI_CONFIG", "b.yaml"}}), "b.yaml");
}

TEST(SettingsLoader, HostileFilesAreRefusedQuicklyAndNeverCrash) {
  std::string deep;
  for (int i = 0; i < 5'000; ++i) deep += "[";
  EXPECT_FALSE(parsed(deep).has_value());
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c < 'k'; ++c) {
    const std::string before(1, static_cast<char>(c - 1));
    bomb += std::string(1, c) + ": &" + c;
    bomb += " [*" + before + ",*" + before + ",*" + before + ",*" + before + ",*" + before + ",*" + before + "]\n";
  }
  EXPECT_FALSE(parsed(bomb).has_value());
  EXPECT_FALSE(parsed(std::string("a: \xff\xfe")).has_value());
  EXPECT_FALSE(parsed(std::string("a: \0", 4)).has_value());
}

}  // namespace
}  // namespace opi::app
