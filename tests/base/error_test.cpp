#include "base/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <set>
#include <string>
#include <utility>

#include "base/result.hpp"

namespace opi {
namespace {

using testing::ElementsAre;

constexpr std::array kKinds = {ErrorKind::invalid,     ErrorKind::not_found,   ErrorKind::conflict,
                               ErrorKind::denied,      ErrorKind::unavailable, ErrorKind::exhausted,
                               ErrorKind::timed_out,   ErrorKind::cancelled,   ErrorKind::closed,
                               ErrorKind::unsupported, ErrorKind::internal};

TEST(Error, SaysPlaceMessageCausesCodeAndRemedyOnOneLine) {
  const Error error = Error(ErrorKind::invalid, "not a number")
                          .at({.file = "opi.yaml", .line = 9, .column = 5})
                          .because("it has letters")
                          .with_code("22P02")
                          .with_remedy("write 10");
  EXPECT_EQ(error.to_string(), "opi.yaml:9:5: not a number: it has letters [22P02]; write 10");
}

TEST(Error, LeavesOutWhatIsNotKnown) {
  EXPECT_EQ(Error(ErrorKind::internal, "broken").to_string(), "broken");
  EXPECT_EQ(Error(ErrorKind::internal, "broken").with_remedy("mend it").to_string(), "broken; mend it");
  EXPECT_EQ(Error(ErrorKind::internal, "broken").at({.file = "a.yaml"}).to_string(), "a.yaml: broken");
}

TEST(Error, ContextGoesInFrontAndTheOldMessageBecomesTheNearestCause) {
  const Error error = Error(ErrorKind::unavailable, "connection refused")
                          .because("nobody listens")
                          .while_doing("opening pool main")
                          .while_doing("starting");
  EXPECT_EQ(error.message, "starting");
  EXPECT_THAT(error.causes, ElementsAre("opening pool main", "connection refused", "nobody listens"));
  EXPECT_EQ(error.kind, ErrorKind::unavailable);
}

TEST(Error, ContextKeepsCodeAndPlace) {
  const Error error =
      Error(ErrorKind::denied, "no").with_code("28P01").at({.file = "a", .line = 1, .column = 2}).while_doing("login");
  EXPECT_EQ(error.code, "28P01");
  EXPECT_EQ(error.place, (Place{.file = "a", .line = 1, .column = 2}));
}

TEST(Error, OutagesAreRetriedShutdownWaitsAndMistakesNeedAPerson) {
  for (const ErrorKind kind : kKinds) {
    const Handling handling = Error(kind, "x").handling();
    switch (kind) {
      case ErrorKind::unavailable:
      case ErrorKind::timed_out:
      case ErrorKind::exhausted: EXPECT_EQ(handling, Handling::retry) << to_string(kind); break;
      case ErrorKind::cancelled:
      case ErrorKind::closed: EXPECT_EQ(handling, Handling::wait) << to_string(kind); break;
      default: EXPECT_EQ(handling, Handling::needs_person) << to_string(kind); break;
    }
    EXPECT_EQ(Error(kind, "x").retryable(), handling == Handling::retry);
  }
}

TEST(Error, WhoKnowsBetterDecidesTheHandlingAlsoWhenMoreContextIsAdded) {
  const Error error = Error(ErrorKind::unavailable, "x").handled_by(Handling::needs_person).while_doing("y");
  EXPECT_EQ(error.handling(), Handling::needs_person);
  EXPECT_FALSE(error.retryable());
}

TEST(Error, EveryKindAndHandlingHasAWordOfItsOwn) {
  std::set<std::string_view> words;
  for (const ErrorKind kind : kKinds) words.insert(to_string(kind));
  EXPECT_EQ(words.size(), kKinds.size());
  EXPECT_EQ(to_string(Handling::retry), "retry");
  EXPECT_EQ(to_string(Handling::wait), "wait");
  EXPECT_EQ(to_string(Handling::needs_person), "needs person");
}

TEST(SystemError, HasTheNameAsCodeAndTheTextAsCause) {
  const Error error = system_error(ErrorKind::denied, "opening opi.yaml", EACCES);
  EXPECT_EQ(error.to_string(), "opening opi.yaml: Permission denied [EACCES]");
}

TEST(SystemError, KeepsTheMessageWhenTheNumberMeansNothing) {
  const Error error = system_error(ErrorKind::internal, "reading", 99'999);
  EXPECT_EQ(error.to_string(), "reading");
}

TEST(Place, ShowsAsMuchAsIsKnown) {
  EXPECT_EQ((Place{}).to_string(), "");
  EXPECT_FALSE((Place{}).known());
  EXPECT_EQ((Place{.file = "a.yaml"}).to_string(), "a.yaml");
  EXPECT_EQ((Place{.file = "a.yaml", .line = 3}).to_string(), "a.yaml:3");
  EXPECT_EQ((Place{.file = "a.yaml", .line = 3, .column = 7}).to_string(), "a.yaml:3:7");
  EXPECT_EQ((Place{.line = 3, .column = 7}).to_string(), "");
  EXPECT_EQ((Place{.file = "a.yaml", .column = 7}).to_string(), "a.yaml");
}

Result<int> half(int value) {
  if (value % 2 != 0) return failure(ErrorKind::invalid, "odd");
  return value / 2;
}

Result<> halve_twice(int value) {
  const auto once = half(value);
  if (!once) return failure(Error(once.error()).while_doing("first"));
  const auto twice = half(*once);
  if (!twice) return failure(Error(twice.error()).while_doing("second"));
  return {};
}

TEST(Result, CarriesTheValueOrTheErrorWithItsContext) {
  EXPECT_TRUE(halve_twice(8).has_value());
  EXPECT_EQ(halve_twice(6).error().to_string(), "second: odd");
  EXPECT_EQ(halve_twice(5).error().to_string(), "first: odd");
}

}  // namespace
}  // namespace opi
