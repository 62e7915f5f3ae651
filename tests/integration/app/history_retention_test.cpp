#include "app/history_retention.hpp"

#include "integration/provision/provision_fixture.hpp"
#include "store/history.hpp"

namespace opi::app {
namespace {

using namespace std::chrono_literals;

class HistoryRetentionTest : public provision::ProvisionTest {
 protected:
  void SetUp() override {
    open();
    remember(3, 48h);
    remember(2, 1h);
  }
  void remember(int count, std::chrono::hours age) {
    std::vector<store::HistoryEvent> events(static_cast<std::size_t>(count));
    for (auto& event : events) {
      event.at = SystemClock().wall() - age;
      event.project = "shop";
      event.action = "create";
      event.cause = {.kind = "commit", .id = "9be1f02", .replica = "host/1"};
    }
    auto lease = await(main().acquire());
    ASSERT_TRUE(lease);
    ASSERT_TRUE(await(store::append_history(&**lease, std::move(events))));
  }
  std::string left() const { return query("SELECT count(*) FROM opi.history", control_); }
};

TEST_F(HistoryRetentionTest, WhatIsTooOldGoesAndTheRestStays) {
  HistoryRetention keep(24h);
  const auto gone = await(keep.trim_when_due(&main()));
  ASSERT_TRUE(gone) << gone.error().to_string();
  EXPECT_EQ(*gone, 3);
  EXPECT_EQ(left(), "2");
}

TEST_F(HistoryRetentionTest, ItLooksOnceAnHourHoweverOftenItIsAsked) {
  HistoryRetention keep(24h);
  ASSERT_TRUE(await(keep.trim_when_due(&main())));
  remember(1, 72h);
  const auto again = await(keep.trim_when_due(&main()));
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, 0);
  EXPECT_EQ(left(), "3");
}

TEST_F(HistoryRetentionTest, WithoutALimitEverythingIsKept) {
  HistoryRetention keep(0ms);
  EXPECT_EQ(await(keep.trim_when_due(&main())).value_or(-1), 0);
  EXPECT_EQ(left(), "5");
}

TEST_F(HistoryRetentionTest, WhatFailedIsTriedAgainAtTheNextCall) {
  HistoryRetention keep(24h);
  query("ALTER TABLE opi.history RENAME TO elsewhere; SELECT 1", control_);
  EXPECT_FALSE(await(keep.trim_when_due(&main())));
  query("ALTER TABLE opi.elsewhere RENAME TO history; SELECT 1", control_);
  EXPECT_EQ(await(keep.trim_when_due(&main())).value_or(-1), 3);
}

}  // namespace
}  // namespace opi::app
