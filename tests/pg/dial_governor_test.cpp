// The governor with a clock that moves by hand: who may dial which host and when.
#include "pg/dial_governor.hpp"

#include <gtest/gtest.h>

namespace opi::pg {
namespace {

using namespace std::chrono_literals;

const Error no_server = Error(ErrorKind::unavailable, "connection no_server by db:5432").with_code("ECONNREFUSED");

Error says(ErrorKind kind, std::string code) {
  return Error(kind, "db:5432: the server said " + code).with_code(std::move(code));
}

/// One pool, as far as the governor is concerned.
struct Dialer {
  std::shared_ptr<DialMember> member = std::make_shared<DialMember>([this] { ++woken; });
  int woken = 0;
};

class DialGovernorTest : public testing::Test {
 protected:
  explicit DialGovernorTest(GovernorLimits limits = {.outage = {.jitter = 0.0},
                                                     .asks_again = {.most = 2s, .jitter = 0.0}})
      : governor_(limits) {}

  SteadyTime now() const { return clock_.steady(); }
  DialPermit permit(const Dialer& dialer) { return gate_->admit(dialer.member, now()).permit; }
  std::size_t admitted(const Dialer& dialer, std::vector<DialPermit>& into, std::size_t wanted = 1'000) {
    std::size_t count = 0;
    for (; count < wanted; ++count) {
      DialPermit one = permit(dialer);
      if (!one) break;
      into.push_back(std::move(one));
    }
    return count;
  }
  void fail_once(const Error& error = no_server) {
    DialPermit one = permit(a_);
    ASSERT_TRUE(one);
    one.failed(error, now());
  }

  ManualClock clock_;
  DialGovernor governor_;
  std::shared_ptr<HostGate> gate_ = governor_.gate({.host = "db", .port = 5432});
  Dialer a_, b_;
};

TEST_F(DialGovernorTest, EveryoneWhoNamesAHostHasTheSameGate) {
  EXPECT_EQ(governor_.gate({.host = "db", .port = 5432}), gate_);
  EXPECT_NE(governor_.gate({.host = "db", .port = 5433}), gate_);
  EXPECT_EQ(governor_.status().size(), 1U) << "a gate that nobody keeps is gone";
}

TEST_F(DialGovernorTest, PoolScenario29_OnePoolAtATimeProbesAHostThatIsDown) {
  fail_once();
  const auto too_early = gate_->admit(b_.member, now());
  EXPECT_FALSE(too_early.permit);
  EXPECT_EQ(too_early.next - now(), 100ms);
  clock_.advance(100ms);
  DialPermit probe = permit(a_);
  ASSERT_TRUE(probe);
  const auto second = gate_->admit(b_.member, now());
  EXPECT_FALSE(second.permit);
  EXPECT_EQ(second.next, SteadyTime::max()) << "it is woken when the probe has ended";
  EXPECT_EQ(b_.woken, 0);
  probe.failed(no_server, now());
  EXPECT_EQ(b_.woken, 1);
  EXPECT_EQ(gate_->admit(b_.member, now()).next - now(), 200ms) << "the pauses grow whoever probes";
  EXPECT_EQ(gate_->status().failures, 2U);
}

TEST_F(DialGovernorTest, AVolleyThatFailsIsOneFailureAndAProbeThatIsGivenUpIsNone) {
  std::vector<DialPermit> volley;
  ASSERT_EQ(admitted(a_, volley, 5), 5U);
  for (DialPermit& one : volley) {
    clock_.advance(1ms);
    one.failed(no_server, now());
  }
  EXPECT_EQ(gate_->status().failures, 1U);
  clock_.advance(100ms);
  {
    const DialPermit dropped = permit(a_);
  }
  EXPECT_EQ(gate_->status().failures, 1U);
  EXPECT_TRUE(permit(b_)) << "somebody else may probe";
}

TEST_F(DialGovernorTest, PoolScenario30_AfterAnOutageTheDialsOfAllPoolsRampUpTogether) {
  fail_once();
  clock_.advance(100ms);
  DialPermit probe = permit(a_);
  EXPECT_FALSE(permit(b_));
  probe.succeeded(now());
  EXPECT_EQ(b_.woken, 1);
  std::vector<DialPermit> dials;
  EXPECT_EQ(admitted(a_, dials), 1U);
  EXPECT_EQ(admitted(b_, dials), 0U);
  dials[0].succeeded(now());
  dials.clear();
  // Two at a time, and both were refused: each has a share.
  EXPECT_EQ(admitted(b_, dials), 1U);
  EXPECT_EQ(admitted(a_, dials), 1U);
  for (DialPermit& one : dials) one.succeeded(now());
  dials.clear();
  EXPECT_EQ(admitted(b_, dials), 4U) << "of eight";
  EXPECT_EQ(admitted(a_, dials), 4U);
  EXPECT_EQ(gate_->status().dialing, 8U);
}

TEST_F(DialGovernorTest, PoolScenario30_DialsOfOneHostHaveARateOverAllPools) {
  std::vector<DialPermit> dials;
  EXPECT_EQ(admitted(a_, dials, 60) + admitted(b_, dials), 100U) << "the burst";
  const auto later = gate_->admit(b_.member, now());
  EXPECT_FALSE(later.permit);
  EXPECT_EQ(later.next - now(), 10ms);
  clock_.advance(10ms);
  EXPECT_EQ(admitted(b_, dials), 1U);
  clock_.advance(1s);
  EXPECT_EQ(admitted(a_, dials), 100U);
}

TEST_F(DialGovernorTest, PoolScenario31_AFullOrStartingServerIsProbedMoreOften) {
  for (const char* code : {"53300", "57P03"}) {
    for (int attempt = 0; attempt < 12; ++attempt) {
      fail_once(says(ErrorKind::unavailable, code));
      ASSERT_LE(gate_->status().next_attempt - now(), 2s) << code;
      EXPECT_TRUE(gate_->status().asks_again);
      clock_.advance(2s);
    }
    permit(a_).succeeded(now());
  }
}

TEST_F(DialGovernorTest, PoolScenario31_WhatConcernsOneLoginSaysNothingOfTheHost) {
  Error limit = says(ErrorKind::exhausted, "53300");
  limit = std::move(limit).handled_by(Handling::wait);
  for (const Error& error : {says(ErrorKind::denied, "28P01"), says(ErrorKind::not_found, "3D000"), limit,
                             Error(ErrorKind::unavailable, "no password for db:5432")}) {
    fail_once(error);
    EXPECT_FALSE(gate_->status().down()) << error.to_string();
  }
  fail_once();
  clock_.advance(100ms);
  fail_once(says(ErrorKind::denied, "28P01"));
  EXPECT_FALSE(gate_->status().down()) << "a server that refuses a login is there";
}

TEST_F(DialGovernorTest, RecoverMakesTheProbeDueAtOnce) {
  fail_once();
  EXPECT_FALSE(permit(b_));
  gate_->retry_now(now());
  EXPECT_EQ(b_.woken, 1);
  EXPECT_TRUE(permit(b_));
}

TEST_F(DialGovernorTest, PoolScenario43_AChangedRoleIsANewEpochThatEveryoneHearsOf) {
  gate_->join(a_.member);
  gate_->join(b_.member);
  gate_->note_role(HostRole::primary, now());
  const auto epoch = gate_->role_epoch();
  const int woken = b_.woken;
  gate_->note_role(HostRole::primary, now());
  EXPECT_EQ(gate_->role_epoch(), epoch);
  EXPECT_EQ(b_.woken, woken);
  gate_->note_role(HostRole::standby, now());
  EXPECT_NE(gate_->role_epoch(), epoch);
  EXPECT_EQ(b_.woken, woken + 1);
  gate_->note_role(HostRole::unknown, now());
  EXPECT_EQ(gate_->status().role, HostRole::standby);
}

TEST_F(DialGovernorTest, AMemberThatIsGoneIsForgotten) {
  fail_once();
  clock_.advance(100ms);
  DialPermit probe = permit(a_);
  {
    const Dialer gone;
    EXPECT_FALSE(permit(gone));
  }
  probe.succeeded(now());
  EXPECT_TRUE(permit(b_));
}

}  // namespace
}  // namespace opi::pg
