// SCRAM verifiers against RFC 7677, generated passwords, and the platform key.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "secrets/base64.hpp"
#include "secrets/keyed_hash.hpp"
#include "secrets/password.hpp"
#include "secrets/platform_key.hpp"
#include "secrets/primitives.hpp"
#include "secrets/saslprep.hpp"
#include "secrets/scram.hpp"

namespace opi::secrets {
namespace {

std::string bytes_of(const std::array<unsigned char, 32>& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

TEST(Scram, DerivesTheKeysOfRfc7677) {
  // RFC 7677 §3: user "user", password "pencil". The exchange proves both keys of the verifier.
  const auto verifier = scram_verifier(SecretString("pencil"), base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==").value(), 4096);
  ASSERT_TRUE(verifier);
  ASSERT_TRUE(verifier->starts_with("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"));
  const std::string keys = verifier->substr(verifier->rfind('$') + 1);
  const std::string stored_key = base64_decode(keys.substr(0, keys.find(':'))).value();
  const std::string server_key = base64_decode(keys.substr(keys.find(':') + 1)).value();
  const std::string exchange =
      "n=user,r=rOprNGfwEbeRWgbNEkqO,"
      "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
      "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
  EXPECT_EQ(base64_encode(bytes_of(hmac_sha256(server_key, exchange))), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  const std::string signature = bytes_of(hmac_sha256(stored_key, exchange));
  std::string client_key = base64_decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").value();
  for (std::size_t i = 0; i < client_key.size(); ++i) client_key[i] = static_cast<char>(client_key[i] ^ signature[i]);
  const Digest hashed = sha256(client_key);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(hashed.data()), hashed.size()), stored_key);
}

TEST(Scram, MatchesItsOwnPasswordOnly) {
  const auto verifier = scram_verifier(SecretString("correct horse"));
  ASSERT_TRUE(verifier);
  EXPECT_TRUE(scram_matches(*verifier, SecretString("correct horse")));
  EXPECT_FALSE(scram_matches(*verifier, SecretString("correct horsf")));
  EXPECT_FALSE(scram_matches(*verifier, SecretString("")));
}

TEST(Scram, SaltsAfresh) {
  EXPECT_NE(scram_verifier(SecretString("same")).value(), scram_verifier(SecretString("same")).value());
}

TEST(Scram, NoChangedVerifierMatches) {
  const SecretString password("pencil");
  const std::string verifier = scram_verifier(password, "salt", 2).value();
  ASSERT_TRUE(scram_matches(verifier, password));
  for (std::size_t i = 0; i < verifier.size(); ++i) {
    std::string changed = verifier;
    changed[i] = changed[i] == 'B' ? 'C' : 'B';
    EXPECT_FALSE(scram_matches(changed, password)) << i;
    EXPECT_FALSE(scram_matches(verifier.substr(0, i), password)) << i;
  }
  EXPECT_FALSE(scram_matches(verifier + "=", password));
  EXPECT_FALSE(
      scram_matches("SCRAM-SHA-256$4294967295:c2FsdA==$" + verifier.substr(verifier.rfind('$') + 1), password));
}

TEST(Scram, RefusesAnEmptyPasswordAndControlCharacters) {
  EXPECT_EQ(scram_verifier(SecretString("tab\there")).error().kind, ErrorKind::invalid);
  EXPECT_EQ(scram_verifier(SecretString("")).error().kind, ErrorKind::invalid);
  const std::string message = scram_verifier(SecretString("s3cr\tt")).error().to_string();
  EXPECT_EQ(message.find("s3cr"), std::string::npos);
}

std::string prepared(std::string_view text) {
  return std::string(saslprep(SecretString(text)).reveal());
}

TEST(Saslprep, AnswersTheExamplesOfRfc4013) {
  EXPECT_EQ(prepared("I\xC2\xADX"), "IX");  // a soft hyphen goes
  EXPECT_EQ(prepared("user"), "user");
  EXPECT_EQ(prepared("USER"), "USER");
  EXPECT_EQ(prepared("\xC2\xAA"), "a");       // the feminine ordinal is an a
  EXPECT_EQ(prepared("\xE2\x85\xA8"), "IX");  // the Roman numeral is two letters
  EXPECT_EQ(prepared("a\xC2\xA0"
                     "b"),
            "a b");  // a space is a space
}

TEST(Saslprep, LeavesWhatCannotBePreparedAsItIs) {
  EXPECT_EQ(prepared("\xD8\xA7"
                     "1"),
            "\xD8\xA7"
            "1");                                               // directions mixed
  EXPECT_EQ(prepared("\xFF\xFE"), "\xFF\xFE");                  // no UTF-8
  EXPECT_EQ(prepared("\xF0\x9F\x94\x91"), "\xF0\x9F\x94\x91");  // not assigned in Unicode 3.2
  EXPECT_EQ(prepared("\xC2\xAD"), "\xC2\xAD");                  // nothing would be left
}

TEST(Scram, TakesPasswordsThatLookTheSameForTheSame) {
  const auto verifier = scram_verifier(SecretString("p\xC3\xA4ss"));  // composed
  ASSERT_TRUE(verifier);
  EXPECT_TRUE(scram_matches(*verifier, SecretString("pa\xCC\x88ss")));  // decomposed
  EXPECT_FALSE(scram_matches(*verifier, SecretString("pass")));
}

TEST(Password, HasEveryClassAndNothingElse) {
  std::set<std::string> seen;
  for (int i = 0; i < 500; ++i) {
    const SecretString password = generate_password(20);
    int upper = 0;
    int lower = 0;
    int digits = 0;
    for (const char c : password.reveal()) {
      upper += c >= 'A' && c <= 'Z' ? 1 : 0;
      lower += c >= 'a' && c <= 'z' ? 1 : 0;
      digits += c >= '0' && c <= '9' ? 1 : 0;
    }
    EXPECT_EQ(upper + lower + digits, 20);
    EXPECT_GE(upper, 3);
    EXPECT_GE(lower, 3);
    EXPECT_GE(digits, 3);
    seen.emplace(password.reveal());
  }
  EXPECT_EQ(seen.size(), 500U);
}

TEST(Password, UsesEveryCharacterAboutEquallyOften) {
  // 62 characters, 200 000 drawn in passwords of 200: each is expected 3 226 times; seven standard deviations are about
  // 400.
  std::array<int, 256> counts{};
  for (int i = 0; i < 1000; ++i) {
    const SecretString password = generate_password(200);
    for (const char c : password.reveal()) ++counts[static_cast<unsigned char>(c)];
  }
  for (const char c : std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")) {
    EXPECT_NEAR(counts[static_cast<unsigned char>(c)], 3226, 420) << c;
  }
}

TEST(Password, RefusesToBeShort) {
  EXPECT_THROW(generate_password(19), std::invalid_argument);
}

TEST(PlatformKeyText, OpensWhatItSeals) {
  const PlatformKey key = PlatformKey::generate();
  const auto again = PlatformKey::parse(key.to_key_file("2026-01-02T03:04:05Z").reveal());
  ASSERT_TRUE(again);
  const auto sealed = key.seal("value");
  ASSERT_TRUE(sealed);
  EXPECT_TRUE(again->open(*sealed)->equals("value"));
  EXPECT_TRUE(again->open(age_armor(*sealed))->equals("value"));
}

TEST(PlatformKeyText, IsReadFromOneLineOfTheEnvironment) {
  const AgeIdentity identity = AgeIdentity::generate();
  std::string text;
  for (const char c : identity.to_key_file("now").reveal()) text += c == '\n' ? std::string("\\n") : std::string(1, c);
  const auto key = PlatformKey::parse(text);
  ASSERT_TRUE(key) << key.error().to_string();
  EXPECT_EQ(key->recipient(), identity.recipient());
}

TEST(PlatformKeyText, ARotatedKeySealsWithTheFirstAndOpensWithAll) {
  const AgeIdentity old_identity = AgeIdentity::generate();
  const PlatformKey old_key = PlatformKey::parse(old_identity.to_secret().reveal()).value();
  const AgeIdentity new_identity = AgeIdentity::generate();
  const std::string text =
      std::string(new_identity.to_secret().reveal()) + "\n" + std::string(old_identity.to_secret().reveal());
  const PlatformKey both = PlatformKey::parse(text).value();
  EXPECT_EQ(both.recipient(), new_identity.recipient());
  EXPECT_TRUE(both.open(old_key.seal("before").value())->equals("before"));
  EXPECT_EQ(old_key.open(both.seal("after").value()).error().kind, ErrorKind::denied);
}

TEST(PlatformKeyText, RefusesACommentThatNamesAnotherKey) {
  const std::string other = AgeIdentity::generate().recipient().to_string();
  const AgeIdentity identity = AgeIdentity::generate();
  EXPECT_FALSE(PlatformKey::parse("# public key: " + other + "\n" + std::string(identity.to_secret().reveal())));
  EXPECT_TRUE(PlatformKey::parse("# public key: " + identity.recipient().to_string() + "\n" +
                                 std::string(identity.to_secret().reveal())));
}

TEST(PlatformKeyText, RefusesTextWithoutIdentity) {
  EXPECT_FALSE(PlatformKey::parse(""));
  EXPECT_FALSE(PlatformKey::parse("# only a comment\n\n"));
  EXPECT_FALSE(PlatformKey::parse(AgeIdentity::generate().recipient().to_string()));
}

}  // namespace
}  // namespace opi::secrets
