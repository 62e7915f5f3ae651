#include "provision/credentials.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/url/parse.hpp>

namespace opi::provision {
namespace {

using ::testing::HasSubstr;

Credentials some(std::string password, std::vector<pg::HostPort> hosts = {{"db.example", 5433}}) {
  Credentials credentials{.project = "shop",
                          .deployment = "prod",
                          .hosts = std::move(hosts),
                          .database = "shop_prod",
                          .schema = "shop_prod"};
  credentials.schemas = {"shop_prod", "shop_prod_audit"};
  credentials.user = "shop_prod__a";
  credentials.password = SecretString(password);
  return credentials;
}

TEST(Credentials, TheUriIsReadBackByAnUrlParserWhateverThePasswordHolds) {
  const std::string password = "a/b:c@d?e#f%20 '\"\\";
  const auto uri = some(password).uri();
  const auto parsed = boost::urls::parse_uri(uri.reveal());
  ASSERT_TRUE(parsed) << uri.reveal();
  EXPECT_EQ(parsed->scheme(), "postgresql");
  EXPECT_EQ(parsed->user(), "shop_prod__a");
  EXPECT_EQ(parsed->password(), password);
  EXPECT_EQ(parsed->host(), "db.example");
  EXPECT_EQ(parsed->port(), "5433");
  EXPECT_EQ(parsed->path(), "/shop_prod");
}

TEST(Credentials, ASocketDirectoryIsAParameterOfTheUri) {
  EXPECT_EQ(some("pw", {{"/run/postgresql", 5432}}).uri().reveal(),
            "postgresql://shop_prod__a:pw@/shop_prod?host=%2Frun%2Fpostgresql&port=5432");
}

TEST(Credentials, SeveralHostsAndAddressesOfVersion6AreInTheUri) {
  EXPECT_EQ(some("pw", {{"::1", 5432}, {"db2", 5433}}).uri().reveal(),
            "postgresql://shop_prod__a:pw@[::1]:5432,db2:5433/shop_prod");
}

TEST(Credentials, TheJsonIsValidAndHasEveryKeyOnce) {
  const std::string password = "q\"\\\n\x01";
  const auto text = some(password).json();
  const auto parsed = boost::json::parse(std::string(text.reveal())).as_object();
  EXPECT_EQ(parsed.at("DATABASE_PASSWORD").as_string(), password);
  EXPECT_EQ(parsed.at("APP_DATABASE_PASSWORD").as_string(), password);
  EXPECT_EQ(parsed.at("DATABASE_SERVER_PORT").as_string(), "5433");
  EXPECT_EQ(parsed.at("DATABASE_SCHEMA_AUDIT").as_string(), "shop_prod_audit");
  EXPECT_EQ(parsed.size(), some("x").values().size());
}

TEST(Credentials, TheEnvironmentFormQuotesWhatAShellWouldRead) {
  const auto text = std::string(some("it's $HOME").env().reveal());
  EXPECT_THAT(text, HasSubstr("\nDATABASE_PASSWORD='it'\\''s $HOME'\n"));
  EXPECT_THAT(text, HasSubstr("DATABASE_SERVER_HOST=db.example\n"));
}

TEST(Credentials, TheFullUrlCarriesTheSearchPath) {
  for (const auto& [key, value] : some("pw").values()) {
    if (key != "DATABASE_SERVER_FULL") continue;
    EXPECT_EQ(
        value.reveal(),
        "postgresql://shop_prod__a:pw@db.example:5433/shop_prod?options=-csearch_path%3Dshop_prod%2Cshop_prod_audit");
    return;
  }
  FAIL() << "no DATABASE_SERVER_FULL";
}

}  // namespace
}  // namespace opi::provision
