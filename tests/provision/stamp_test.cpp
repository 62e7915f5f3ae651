#include "provision/stamp.hpp"

#include <gtest/gtest.h>

namespace opi::provision {
namespace {

TEST(Stamp, IsReadBackAsWritten) {
  for (const Stamp& stamp : {Stamp{.id = "7c1e", .project = "shop", .deployment = "prod"},
                             Stamp{.id = "0", .project = "a b=c%", .deployment = "prod deployment=x"},
                             Stamp{.id = "1", .project = "ü\n", .deployment = "x"}}) {
    const auto read = parse_stamp(stamp.to_comment());
    ASSERT_TRUE(read) << stamp.to_comment();
    EXPECT_EQ(*read, stamp);
  }
}

TEST(Stamp, IsOneReadableLine) {
  EXPECT_EQ((Stamp{.id = "7c1e", .project = "shop-x7k", .deployment = "prod"}).to_comment(),
            "managed by opi: project=shop-x7k deployment=prod id=7c1e");
}

TEST(Stamp, NothingSimilarIsTakenForOne) {
  for (const auto* text :
       {"", "managed by opi:", "managed by opi: project=shop", "managed by opi: project=shop deployment=prod",
        "managed by opi: project= deployment=prod id=1", "managed by opi: project=shop deployment=prod id=1 more=x",
        "Managed by opi: project=shop deployment=prod id=1", " managed by opi: project=shop deployment=prod id=1",
        "managed by opi: deployment=prod project=shop id=1", "managed by opi: project=sh%2 deployment=prod id=1",
        "managed by opi:  project=shop deployment=prod id=1", "managed by opi: project=shop deployment=prod id=%zz"}) {
    EXPECT_FALSE(parse_stamp(text)) << text;
  }
}

}  // namespace
}  // namespace opi::provision
