// What is kept of a statement shows what it did and none of its secrets.
#include <gtest/gtest.h>

#include "store/catalogue_locks.hpp"
#include "store/history.hpp"
#include "store/json_rows.hpp"

namespace opi::store {
namespace {

TEST(WithoutSecrets, LeavesOrdinaryStatementsAlone) {
  for (const char* sql :
       {"", "SELECT 1", "CREATE ROLE \"shop_prod\" NOLOGIN", "COMMENT ON ROLE x IS 'the password of nobody'",
        "ALTER ROLE password_keeper LOGIN", "SELECT passwords FROM t WHERE a = 'b'", "ALTER ROLE x PASSWORD NULL",
        "it's", "$1", "md5 of md5abc", "CREATE DATABASE d TEMPLATE template0 ENCODING 'UTF8'"}) {
    EXPECT_EQ(without_secrets(sql), sql);
  }
}

TEST(WithoutSecrets, MasksEveryFormOfALiteralAfterPassword) {
  EXPECT_EQ(without_secrets("ALTER ROLE x PASSWORD 's3cret' VALID UNTIL 'infinity'"),
            "ALTER ROLE x PASSWORD '***' VALID UNTIL 'infinity'");
  EXPECT_EQ(without_secrets("alter role x password\n  's3''cr;et' login"), "alter role x password\n  '***' login");
  EXPECT_EQ(without_secrets("ALTER ROLE x PASSWORD E's3\\'cret' LOGIN"), "ALTER ROLE x PASSWORD '***' LOGIN");
  EXPECT_EQ(without_secrets("ALTER ROLE x PASSWORD $t$s3'cret$t$ LOGIN"), "ALTER ROLE x PASSWORD '***' LOGIN");
  EXPECT_EQ(without_secrets("ALTER ROLE x PASSWORD 's3cret"), "ALTER ROLE x PASSWORD '***'");  // cut off in a message
  EXPECT_EQ(without_secrets("user=x password='s3cret' host=h"), "user=x password='***' host=h");
  EXPECT_EQ(without_secrets("ENCRYPTED PASSWORD's3cret'"), "ENCRYPTED PASSWORD'***'");
}

TEST(WithoutSecrets, MasksWhatIsASecretByItsForm) {
  EXPECT_EQ(without_secrets("'SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk+/=:c2VydmVy=' LOGIN"), "'***' LOGIN");
  EXPECT_EQ(without_secrets("key AGE-SECRET-KEY-1QQPQ end"), "key *** end");
  EXPECT_EQ(without_secrets("'md50123456789abcdef0123456789abcdef'"), "'***'");
}

TEST(WithoutSecrets, IsBounded) {
  EXPECT_LE(without_secrets(std::string(100'000, 'x')).size(), 8192U);
}

TEST(Storable, ReplacesWhatTheServerWouldRefuse) {
  EXPECT_EQ(storable(std::string_view("a\0b", 3), 10), "a?b");
  EXPECT_EQ(storable("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", 100),
            "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
  // A stray byte, an overlong form, a surrogate, a value past the last one, a character cut short.
  EXPECT_EQ(storable("\xff", 10), "?");
  EXPECT_EQ(storable("\xc0\xaf", 10), "??");
  EXPECT_EQ(storable("\xed\xa0\x80", 10), "???");
  EXPECT_EQ(storable("\xf4\x90\x80\x80", 10), "????");
  EXPECT_EQ(storable("x\xe2\x82", 10), "x??");
}

TEST(Storable, CutsBetweenCharacters) {
  EXPECT_EQ(storable("a\xe2\x82\xac", 3), "a");
  EXPECT_EQ(storable("a\xe2\x82\xac", 4), "a\xe2\x82\xac");
}

TEST(LockKey, IsTheSameInEveryVersion) {
  // Two versions that run at the same time must exclude each other: this number never changes.
  EXPECT_EQ(lock_key({.server_id = 1, .kind = RowKind::role, .name = "shop_prod"}), -4001332055283573968);
}

TEST(LockKey, DiffersByEveryField) {
  const CatalogueRow row{.server_id = 12, .kind = RowKind::role, .name = "3 a"};
  EXPECT_NE(lock_key(row), lock_key({.server_id = 13, .kind = RowKind::role, .name = "3 a"}));
  EXPECT_NE(lock_key(row), lock_key({.server_id = 12, .kind = RowKind::database, .name = "3 a"}));
  EXPECT_NE(lock_key(row), lock_key({.server_id = 12, .kind = RowKind::role, .name = "a"}));
  EXPECT_NE(lock_key(row), lock_key({.server_id = 1, .kind = RowKind::role, .name = "23 a"}));
}

}  // namespace
}  // namespace opi::store
