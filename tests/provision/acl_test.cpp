#include "provision/acl.hpp"

#include <gtest/gtest.h>

namespace opi::provision {
namespace {

TEST(Acl, ReadsEntriesAsTheServerWritesThem) {
  const auto acl = parse_acl("=Tc/shop_prod\nshop_prod=CTc/shop_prod\nshop_prod_ro=c*/shop_prod");
  ASSERT_TRUE(acl) << acl.error().to_string();
  ASSERT_EQ(acl->size(), 3U);
  EXPECT_EQ((*acl)[0], (AclEntry{.grantee = "", .privileges = "Tc", .grantor = "shop_prod"}));
  EXPECT_EQ((*acl)[2],
            (AclEntry{.grantee = "shop_prod_ro", .privileges = "c", .grantable = "c", .grantor = "shop_prod"}));
  EXPECT_EQ(privileges_of(*acl, ""), "Tc");
  EXPECT_EQ(privileges_of(*acl, "nobody"), "");
}

TEST(Acl, ReadsQuotedNamesThatHoldEverySeparator) {
  const auto acl = parse_acl("\"a=b/c\nd\"\"e\"=c/\"x\ny\"\n=T/plain");
  ASSERT_TRUE(acl) << acl.error().to_string();
  ASSERT_EQ(acl->size(), 2U);
  EXPECT_EQ((*acl)[0].grantee, "a=b/c\nd\"e");
  EXPECT_EQ((*acl)[0].grantor, "x\ny");
  EXPECT_EQ(privileges_of(*acl, ""), "T");
}

TEST(Acl, AQuotedNameIsNeverTakenForPublic) {
  const auto acl = parse_acl("\" \"=Tc/x");
  ASSERT_TRUE(acl);
  EXPECT_EQ(privileges_of(*acl, ""), "");
}

TEST(Acl, NothingIsNobody) {
  const auto acl = parse_acl("");
  ASSERT_TRUE(acl);
  EXPECT_TRUE(acl->empty());
}

TEST(Acl, RefusesWhatIsNoAccessList) {
  for (const auto* text : {"x", "x=c", "x=c/y\n\n", "\"x=c/y"}) {
    const auto acl = parse_acl(text);
    ASSERT_FALSE(acl) << text;
    EXPECT_EQ(acl.error().kind, ErrorKind::invalid) << text;
  }
}

TEST(Acl, PrivilegesAddUpOverGrantorsAndHaveNames) {
  const auto acl = parse_acl("=c/a\n=cT/b");
  ASSERT_TRUE(acl);
  EXPECT_EQ(privileges_of(*acl, ""), "cT");
  EXPECT_EQ(privilege_names("cT"), "CONNECT, TEMPORARY");
  EXPECT_EQ(privilege_names("?"), "?");
}

}  // namespace
}  // namespace opi::provision
