// Creation rules, shares, prefixes: who a new file is for, and what opens an old one.
#include "secrets/sops_rules.hpp"

#include <gtest/gtest.h>

#include <string>

#include "secrets/base64.hpp"
#include "secrets/sealed_text.hpp"
#include "secrets/shamir.hpp"
#include "secrets/sops_data_key.hpp"
#include "secrets/sops_formats.hpp"

namespace opi::secrets::sops {
namespace {

TEST(SopsRules, TheFirstRuleThatMatchesCounts) {
  const AgeIdentity one = AgeIdentity::generate();
  const AgeIdentity two = AgeIdentity::generate();
  const std::string config =
      "creation_rules:\n  - path_regex: \\.prod\\.yaml$\n    age: " + one.recipient().to_string() +
      "\n    encrypted_regex: ^data$\n    mac_only_encrypted: true\n  - key_groups:\n      - age:\n" + "          - " +
      one.recipient().to_string() + "\n          - " + two.recipient().to_string() +
      "\nstores:\n  yaml:\n    indent: 2\n";
  const auto prod = rules_for(config, "c", "a/b.prod.yaml");
  ASSERT_TRUE(prod && prod->creation) << prod.error().to_string();
  EXPECT_EQ(prod->creation->recipients, std::vector{one.recipient()});
  EXPECT_EQ(prod->creation->selector.encrypted_regex, "^data$");
  EXPECT_TRUE(prod->creation->mac_only_encrypted);
  EXPECT_EQ(prod->layout.yaml_indent, 2);
  const auto other = rules_for(config, "c", "a/b.yaml");
  ASSERT_TRUE(other && other->creation);
  EXPECT_EQ(other->creation->recipients, (std::vector{one.recipient(), two.recipient()}));
}

TEST(SopsRules, RefuseWithPlaceAndReason) {
  const auto error = [](const std::string& config) {
    const auto rules = rules_for(config, "c.yaml", "x");
    return rules ? "accepted" : rules.error().to_string();
  };
  EXPECT_NE(error("creation_rules:\n  - path_regex: ^y$\n").find("none of the creation rules matches x"),
            std::string::npos);
  EXPECT_NE(error("creation_rules:\n  - path_regex: '('\n").find("c.yaml:2"), std::string::npos);
  EXPECT_NE(error("creation_rules:\n  - encrypted_suffix: a\n    encrypted_regex: b\n").find("more than one"),
            std::string::npos);
  EXPECT_NE(error("creation_rules:\n  - key_groups:\n      - {}\n      - {}\n").find("never created"),
            std::string::npos);
  EXPECT_NE(error("creation_rules:\n  - age: age1pq1xyz\n").find("ML-KEM"), std::string::npos);
  EXPECT_TRUE(rules_for("stores: {}\n", "c", "x").value().creation == std::nullopt);
  EXPECT_EQ(rules_for("creation_rules:\n  - pgp: ABC\n", "c", "x")->creation->foreign,
            std::vector<std::string>{"pgp ABC"});
}

/// Shares of a secret over GF(2^8) with threshold 2: y = secret ^ slope * x.
SecretString share_of(std::string_view secret, std::string_view slope, unsigned x) {
  std::string share;
  for (std::size_t i = 0; i < secret.size(); ++i) {
    unsigned product = 0;
    unsigned left = static_cast<unsigned char>(slope[i]);
    for (unsigned bit = x; bit != 0; bit >>= 1U) {
      if ((bit & 1U) != 0) product ^= left;
      left = left << 1U;
      if (left > 255) left ^= 0x11bU;
    }
    share.push_back(static_cast<char>(static_cast<unsigned char>(secret[i]) ^ product));
  }
  share.push_back(static_cast<char>(x));
  return SecretString(share);
}

TEST(Shamir, AnyTwoOfThreeSharesGiveTheSecret) {
  const std::string secret = "0123456789abcdef0123456789ABCDEF";
  const std::string slope = "the slope of each byte's line...";
  for (const auto& [a, b] : {std::pair{1U, 2U}, std::pair{1U, 3U}, std::pair{3U, 2U}}) {
    const std::array shares{share_of(secret, slope, a), share_of(secret, slope, b)};
    const auto combined = combine_shares(shares);
    ASSERT_TRUE(combined);
    EXPECT_TRUE(combined->equals(secret));
  }
  const std::array twice{share_of(secret, slope, 1), share_of(secret, slope, 1)};
  EXPECT_FALSE(combine_shares(twice));
  const std::array one{share_of(secret, slope, 1)};
  EXPECT_FALSE(combine_shares(one));
}

TEST(Shamir, AFileWithKeyGroupsOpensWithEnoughOfThem) {
  const AgeIdentity first = AgeIdentity::generate();
  const AgeIdentity second = AgeIdentity::generate();
  const AgeIdentity third = AgeIdentity::generate();
  const std::string file = encrypt("a: one\n", Format::yaml, {.recipients = std::span(&first.recipient(), 1)}).value();
  auto read = read_encrypted(file, Format::yaml);
  ASSERT_TRUE(read);
  const auto key = open_data_key(read->metadata, std::span(&first, 1));
  ASSERT_TRUE(key);
  const std::string slope(32, 'q');
  read->metadata.groups.clear();
  unsigned x = 0;
  for (const AgeIdentity* identity : {&first, &second, &third}) {
    const SecretString share = share_of(key->reveal(), slope, ++x);
    read->metadata.groups.push_back({.age = seal_data_key(share, std::span(&identity->recipient(), 1)).value()});
  }
  read->metadata.shamir_threshold = 2;
  const std::string grouped = write_encrypted(*read, Format::yaml, {}).value();
  EXPECT_NE(grouped.find("key_groups:"), std::string::npos);
  std::vector<AgeIdentity> two;
  two.push_back(AgeIdentity::parse(third.to_secret().reveal()).value());
  const auto refused = decrypt(grouped, Format::yaml, {.identities = two});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, error_codes::data_key);
  EXPECT_NE(refused.error().to_string().find("2 of 3 key groups"), std::string::npos) << refused.error().to_string();
  two.push_back(AgeIdentity::parse(first.to_secret().reveal()).value());
  const auto opened = decrypt(grouped, Format::yaml, {.identities = two});
  ASSERT_TRUE(opened) << opened.error().to_string();
  EXPECT_TRUE(opened->equals("a: one\n"));
  EXPECT_EQ(update_keys(grouped, Format::yaml, {}, {}, {.identities = two}).error().kind, ErrorKind::unsupported);
}

}  // namespace
}  // namespace opi::secrets::sops

namespace opi::secrets {
namespace {

TEST(SealedText, IsKnownByItsPrefixOrItsArmor) {
  const AgeIdentity identity = AgeIdentity::generate();
  const auto keys = std::span(&identity, 1);
  const auto recipients = std::span(&identity.recipient(), 1);
  const std::string age = write_sealed_text("secret", SealedForm::age, recipients).value();
  const std::string line = write_sealed_text("secret", SealedForm::base64, recipients).value();
  EXPECT_TRUE(age.starts_with("age:-----BEGIN AGE ENCRYPTED FILE-----\n"));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  for (const std::string& text :
       {age, line, "  " + age + " \n", age.substr(4), std::string("age:\n") + age.substr(4)}) {
    const auto opened = open_sealed_text(text, keys);
    ASSERT_TRUE(opened) << text << opened.error().to_string();
    EXPECT_TRUE(opened->equals("secret"));
  }
  std::string escaped;
  for (const char c : age) escaped += c == '\n' ? std::string("\\n") : std::string(1, c);
  EXPECT_TRUE(open_sealed_text(escaped, keys)->equals("secret"));
  EXPECT_TRUE(open_sealed_text("plain: as it is", keys)->equals(" as it is"));
  EXPECT_TRUE(open_sealed_text(" no prefix ", keys)->equals("no prefix"));
}

TEST(SealedText, RefusesWhatIsNotWhatItSays) {
  const AgeIdentity identity = AgeIdentity::generate();
  const AgeIdentity other = AgeIdentity::generate();
  const auto keys = std::span(&identity, 1);
  EXPECT_EQ(open_sealed_text("age:hello", keys).error().kind, ErrorKind::invalid);
  EXPECT_EQ(open_sealed_text("base64+age:***", keys).error().kind, ErrorKind::invalid);
  EXPECT_EQ(open_sealed_text("base64+age:" + base64_encode("hello"), keys).error().kind, ErrorKind::invalid);
  const std::string sealed = write_sealed_text("x", SealedForm::age, std::span(&other.recipient(), 1)).value();
  EXPECT_EQ(open_sealed_text(sealed, keys).error().kind, ErrorKind::denied);
}

}  // namespace
}  // namespace opi::secrets
