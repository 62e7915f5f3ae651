#include "base/secret_string.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>

namespace opi {
namespace {

template <class T>
concept Streamable = requires(std::ostream& out, const T& value) { out << value; };

static_assert(Streamable<std::string>);
static_assert(!Streamable<SecretString>, "a secret must not find its way into a log by <<");
static_assert(fmt::is_formattable<std::string>::value);
static_assert(!fmt::is_formattable<SecretString>::value, "nor by a format string");
static_assert(!std::is_convertible_v<SecretString, std::string>);
static_assert(!std::is_convertible_v<SecretString, std::string_view>);
static_assert(!std::is_convertible_v<std::string, SecretString>, "making a secret is explicit");
static_assert(!std::is_copy_constructible_v<SecretString>, "and so is copying one");
static_assert(!std::is_copy_assignable_v<SecretString>);
static_assert(std::is_nothrow_move_constructible_v<SecretString>);
static_assert(std::is_nothrow_move_assignable_v<SecretString>);

TEST(SecretString, StartsEmptyAndTerminated) {
  const SecretString secret;
  EXPECT_TRUE(secret.empty());
  EXPECT_EQ(secret.size(), 0U);
  EXPECT_EQ(secret.reveal(), "");
  EXPECT_STREQ(secret.reveal_c_str(), "");
}

TEST(SecretString, HoldsItsOwnBytesNullBytesIncluded) {
  std::string source("a\0b", 3);
  const SecretString secret{source};
  source.assign("xxx");
  EXPECT_EQ(secret.reveal(), std::string_view("a\0b", 3));
  EXPECT_EQ(secret.size(), 3U);
  EXPECT_EQ(secret.reveal_c_str()[3], '\0');
}

TEST(SecretString, MovingLeavesAnEmptyOneBehind) {
  SecretString first{"first"};
  SecretString second{std::move(first)};
  EXPECT_EQ(second.reveal(), "first");
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): promised
  EXPECT_EQ(first.reveal(), "");

  SecretString third{"third"};
  third = std::move(second);
  EXPECT_EQ(third.reveal(), "first");
  EXPECT_TRUE(second.empty());  // NOLINT(bugprone-use-after-move): promised
}

TEST(SecretString, MovingOntoItselfKeepsTheSecret) {
  SecretString secret{"kept"};
  SecretString& same = secret;
  secret = std::move(same);
  EXPECT_EQ(secret.reveal(), "kept");
}

TEST(SecretString, CopyIsAnotherBufferWithTheSameBytes) {
  const SecretString secret{"twice"};
  const SecretString copy = secret.copy();
  EXPECT_EQ(copy, secret);
  EXPECT_NE(copy.reveal().data(), secret.reveal().data());
}

TEST(SecretString, TakeWipesTheShortStringItWasGiven) {
  // A short string lives inside its object: moving from it alone would leave the bytes readable there.
  std::string given = "hunter2";
  const SecretString secret = SecretString::take(std::move(given));
  EXPECT_EQ(secret.reveal(), "hunter2");
  // NOLINTNEXTLINE(bugprone-use-after-move): that is what is looked at
  const auto* bytes = reinterpret_cast<const unsigned char*>(&given);
  EXPECT_EQ(std::string(bytes, bytes + sizeof given).find("unter"), std::string::npos);
}

TEST(SecretString, TakeKeepsALongStringWhole) {
  const std::string original(4'096, 'k');
  std::string given = original;
  const SecretString secret = SecretString::take(std::move(given));
  EXPECT_EQ(secret.reveal(), original);
  EXPECT_TRUE(given.empty());  // NOLINT(bugprone-use-after-move): promised
}

TEST(SecretString, EqualityLooksAtEveryByteAndAtTheLength) {
  const SecretString secret{"correct horse"};
  EXPECT_TRUE(secret.equals("correct horse"));
  EXPECT_FALSE(secret.equals("correct hors"));
  EXPECT_FALSE(secret.equals("correct horse "));
  EXPECT_FALSE(secret.equals("Correct horse"));
  EXPECT_FALSE(secret.equals("correct horsf"));
  EXPECT_FALSE(secret.equals(""));
  EXPECT_TRUE(SecretString{}.equals(""));
  EXPECT_EQ(SecretString{"\xff\x80"}, SecretString{"\xff\x80"});
  EXPECT_FALSE(SecretString{"\xff\x80"} == SecretString{"\xff\x81"});
}

TEST(Wipe, OverwritesTheBytesGivenAndNoOther) {
  std::array<char, 6> bytes{'a', 'b', 'c', 'd', 'e', 'f'};
  wipe(bytes.data() + 1, 4);
  EXPECT_EQ(std::string(bytes.data(), bytes.size()), std::string("a\0\0\0\0f", 6));
}

TEST(Wipe, EmptiesAStringAndZeroesItsWholeCapacity) {
  std::string text(100, 's');
  text.resize(10);  // the other ninety are still there
  const char* buffer = text.data();
  const std::size_t capacity = text.capacity();
  wipe(text);
  EXPECT_TRUE(text.empty());
  ASSERT_EQ(text.capacity(), capacity);
  text.resize(capacity, 'x');  // the buffer is ours to look at again, and still the same one
  EXPECT_EQ(text.data(), buffer);
}

}  // namespace
}  // namespace opi
