// What an age file must look like, and that nothing else opens.
#include <gtest/gtest.h>

#include <functional>
#include <span>
#include <string>

#include "secrets/age.hpp"
#include "secrets/age_header.hpp"
#include "secrets/base64.hpp"
#include "secrets/bech32.hpp"

namespace opi::secrets {
namespace {

std::string seal(const AgeIdentity& identity, std::string_view plaintext) {
  return age_encrypt(plaintext, std::span(&identity.recipient(), 1)).value();
}

Result<SecretString> open(const AgeIdentity& identity, std::string_view file) {
  return age_decrypt(file, std::span(&identity, 1));
}

/// `text` with the first `from` replaced.
std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  if (at == std::string::npos) throw std::logic_error("nothing to replace");
  return text.replace(at, from.size(), to);
}

TEST(Age, EveryFlippedByteIsNoticed) {
  const AgeIdentity identity = AgeIdentity::generate();
  const std::string sealed = seal(identity, "a password of thirty-two letters");
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    for (const unsigned mask : {0x01U, 0x20U, 0x80U}) {
      std::string changed = sealed;
      changed[i] = static_cast<char>(static_cast<unsigned char>(changed[i]) ^ mask);
      EXPECT_FALSE(open(identity, changed)) << "byte " << i << " mask " << mask;
    }
  }
}

TEST(Age, EveryFlippedByteOfAnArmoredFileIsNoticed) {
  const AgeIdentity identity = AgeIdentity::generate();
  const std::string armored = age_armor(seal(identity, "x"));
  // The line feed after the END line is white space around the block; it may become another white space or go.
  for (std::size_t i = 0; i + 1 < armored.size(); ++i) {
    std::string changed = armored;
    changed[i] = static_cast<char>(static_cast<unsigned char>(changed[i]) ^ 0x01U);
    EXPECT_FALSE(open(identity, changed)) << "byte " << i;
  }
}

TEST(Age, EveryCutIsNoticed) {
  const AgeIdentity identity = AgeIdentity::generate();
  const std::string sealed = seal(identity, "plaintext");
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    const auto opened = open(identity, sealed.substr(0, size));
    ASSERT_FALSE(opened) << size;
    EXPECT_EQ(opened.error().kind, ErrorKind::invalid) << size;
  }
}

TEST(Age, ACutAtAChunkBoundaryIsNoticed) {
  const AgeIdentity identity = AgeIdentity::generate();
  const std::string sealed = seal(identity, std::string(65536 + 100, 'p'));
  EXPECT_TRUE(open(identity, sealed));
  EXPECT_FALSE(open(identity, sealed.substr(0, sealed.size() - 116)));  // the whole last chunk
  EXPECT_FALSE(open(identity, sealed.substr(0, sealed.size() - 100)));  // all but an empty one
  EXPECT_FALSE(open(identity, sealed + std::string(16, '\0')));         // one more
}

TEST(Age, AnotherKeyIsDeniedAndADamagedFileIsInvalid) {
  const AgeIdentity identity = AgeIdentity::generate();
  const AgeIdentity stranger = AgeIdentity::generate();
  const std::string sealed = seal(identity, "secret");
  EXPECT_EQ(open(stranger, sealed).error().kind, ErrorKind::denied);
  EXPECT_EQ(open(identity, "hello").error().kind, ErrorKind::invalid);
  std::string damaged = sealed;
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  EXPECT_EQ(open(identity, damaged).error().kind, ErrorKind::invalid);
}

TEST(Age, SealingToNobodyIsRefused) {
  EXPECT_FALSE(age_encrypt("x", {}));
}

TEST(Age, SealingTheSameTwiceGivesDifferentFiles) {
  const AgeIdentity identity = AgeIdentity::generate();
  EXPECT_NE(seal(identity, "same"), seal(identity, "same"));
}

TEST(Age, RefusesARecipientOfLowOrder) {
  // The point zero: every shared secret with it is zero.
  const auto zero = AgeRecipient::parse(bech32_encode("age", std::string(32, '\0')).reveal());
  ASSERT_TRUE(zero) << zero.error().to_string();
  EXPECT_EQ(age_encrypt("x", std::span(&*zero, 1)).error().kind, ErrorKind::invalid);
}

/// Rewrites the header of a file by hand; the MAC then no longer matches, but the grammar is judged first.
class AgeGrammar : public testing::Test {
 protected:
  const AgeIdentity identity_ = AgeIdentity::generate();
  const std::string sealed_ = seal(identity_, "plaintext");

  std::string reason(const std::string& file) {
    const auto opened = open(identity_, file);
    return opened ? "opened" : opened.error().message;
  }
};

TEST_F(AgeGrammar, RefusesCarriageReturns) {
  EXPECT_NE(reason(replaced(sealed_, "v1\n", "v1\r\n")).find("line 1"), std::string::npos);
  EXPECT_NE(reason(replaced(sealed_, "\n---", "\r\n---")).find("line 3"), std::string::npos);
}

TEST_F(AgeGrammar, RefusesSpacesOutOfPlace) {
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{{"-> X25519", "->  X25519"},
                                                                                 {"-> X25519", "->X25519"},
                                                                                 {"-> X25519 ", "-> X25519  "},
                                                                                 {"-> X25519", "-> \x7f"},
                                                                                 {"--- ", "---  "},
                                                                                 {"--- ", "---"},
                                                                                 {"--- ", "--- - "}}) {
    EXPECT_NE(reason(replaced(sealed_, from, to)).find("malformed"), std::string::npos) << to;
  }
}

TEST_F(AgeGrammar, RefusesAnotherVersion) {
  EXPECT_NE(reason(replaced(sealed_, "/v1", "/v2")).find("version 1"), std::string::npos);
}

TEST_F(AgeGrammar, RefusesAHeaderWithoutStanza) {
  const std::string mac = sealed_.substr(sealed_.find("\n---") + 1);
  EXPECT_NE(reason("age-encryption.org/v1\n" + mac).find("no recipient"), std::string::npos);
}

TEST_F(AgeGrammar, SkipsStanzasOfUnknownTypeButReadsTheirSyntax) {
  const std::string grease = "-> some-grease a b\n" + base64_encode("grease", Padding::unpadded) + "\n-> X25519";
  EXPECT_NE(reason(replaced(sealed_, "-> X25519", grease)).find("MAC"), std::string::npos);  // read, then not authentic
  const std::string broken = "-> some-grease a b\nAB=\n-> X25519";
  EXPECT_NE(reason(replaced(sealed_, "-> X25519", broken)).find("base64"), std::string::npos);
  const std::string wide = "-> some-grease\n" + std::string(68, 'A') + "\n\n-> X25519";
  EXPECT_NE(reason(replaced(sealed_, "-> X25519", wide)).find("64 columns"), std::string::npos);
}

TEST_F(AgeGrammar, RefusesX25519StanzasOfAnotherShape) {
  EXPECT_NE(reason(replaced(sealed_, "-> X25519 ", "-> X25519 extra ")).find("one argument"), std::string::npos);
  const std::size_t start = sealed_.find("X25519 ") + 7;
  const std::string share = sealed_.substr(start, 43);
  EXPECT_NE(reason(replaced(sealed_, share, base64_encode("short", Padding::unpadded))).find("32 bytes"),
            std::string::npos);
  const std::string zeros = base64_encode(std::string(32, '\0'), Padding::unpadded);
  EXPECT_NE(reason(replaced(sealed_, share, zeros)).find("low order"), std::string::npos);
  const std::string body = sealed_.substr(start + 44, 43);
  const std::string short_body = base64_encode(std::string(31, 'b'), Padding::unpadded);
  EXPECT_NE(reason(replaced(sealed_, body, short_body)).find("body"), std::string::npos);
  const std::string lower = replaced(sealed_, "-> X25519", "-> x25519");
  EXPECT_EQ(open(identity_, lower).error().kind, ErrorKind::denied);  // another type, so not for us
}

TEST_F(AgeGrammar, RefusesAPassphraseBesideOthersAndCannotOpenOneAlone) {
  const std::string scrypt = "-> scrypt " + base64_encode(std::string(16, 's'), Padding::unpadded) + " 18\n" +
                             base64_encode(std::string(32, 'b'), Padding::unpadded) + "\n";
  EXPECT_NE(reason(replaced(sealed_, "-> X25519", scrypt + "-> X25519")).find("passphrase"), std::string::npos);
}

TEST_F(AgeGrammar, BoundsTheHeader) {
  std::string many = "age-encryption.org/v1\n";
  for (int i = 0; i < 1001; ++i) many += "-> grease\n\n";
  EXPECT_NE(reason(many + "--- " + std::string(43, 'A') + "\n").find("1000 stanzas"), std::string::npos);
  EXPECT_NE(reason("age-encryption.org/v1\n-> g\n" + std::string(3U << 20U, 'A')).find("does not end"),
            std::string::npos);
}

TEST(AgeHeader, WritesWhatItReads) {
  const std::vector<AgeStanza> stanzas{{.type = "one", .arguments = {"a", "b"}, .body = std::string(48, 'x')},
                                       {.type = "two", .arguments = {}, .body = ""},
                                       {.type = "three", .arguments = {"c"}, .body = std::string(100, 'y')}};
  const std::string text = write_age_header(stanzas);
  const std::string file = text + " " + base64_encode(std::string(32, 'm'), Padding::unpadded) + "\npayload";
  const auto header = parse_age_header(file);
  ASSERT_TRUE(header) << header.error().to_string();
  EXPECT_EQ(header->authenticated, text);
  EXPECT_EQ(header->payload, "payload");
  EXPECT_EQ(header->mac, std::string(32, 'm'));
  ASSERT_EQ(header->stanzas.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(header->stanzas[i].type, stanzas[i].type);
    EXPECT_EQ(header->stanzas[i].arguments, stanzas[i].arguments);
    EXPECT_EQ(header->stanzas[i].body, stanzas[i].body);
  }
}

TEST(AgeArmor, AcceptsBothLineEndingsAndWhiteSpaceAround) {
  for (const std::size_t size : {0U, 1U, 47U, 48U, 49U, 96U, 500U}) {
    const std::string binary(size, 'b');
    const std::string armored = age_armor(binary);
    std::string dos;
    for (const char c : armored) dos += c == '\n' ? std::string("\r\n") : std::string(1, c);
    for (const std::string& text :
         {armored, dos, " \n\t\n" + armored + "\n \r\n", armored.substr(0, armored.size() - 1)}) {
      const auto decoded = age_dearmor(text);
      ASSERT_TRUE(decoded) << size << ": " << decoded.error().to_string();
      EXPECT_EQ(*decoded, binary);
    }
  }
}

TEST(AgeArmor, RefusesEverythingElse) {
  const std::string armored = age_armor(std::string(100, 'b'));
  const std::string begin = "-----BEGIN AGE ENCRYPTED FILE-----\n";
  const std::string end = "-----END AGE ENCRYPTED FILE-----\n";
  for (const std::string& text :
       {std::string(), begin, "text\n" + armored, armored + "text", replaced(armored, begin, begin + "\n"),
        replaced(armored, begin, begin + "Comment: x\n"), replaced(armored, end, "\n" + end),
        replaced(armored, end, "YmJi\n" + end), replaced(armored, "BEGIN AGE", "BEGIN age"),
        begin + std::string(68, 'A') + "\n" + end, begin + "AAAA" + end, std::string(1100, '\n') + armored,
        armored + std::string(1100, '\n'), replaced(armored, begin, " " + begin)}) {
    EXPECT_FALSE(age_dearmor(text)) << text;
  }
}

TEST(AgeKeys, SurviveTheirTextForms) {
  const AgeIdentity identity = AgeIdentity::generate();
  const auto again = AgeIdentity::parse(identity.to_secret().reveal());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->recipient(), identity.recipient());
  EXPECT_TRUE(identity.to_secret().reveal().starts_with("AGE-SECRET-KEY-1"));
  EXPECT_EQ(AgeRecipient::parse(identity.recipient().to_string()).value(), identity.recipient());
}

TEST(AgeKeys, RefuseWhatIsNone) {
  const AgeIdentity identity = AgeIdentity::generate();
  const std::string secret(identity.to_secret().reveal());
  EXPECT_FALSE(AgeIdentity::parse(identity.recipient().to_string()));
  EXPECT_FALSE(AgeRecipient::parse(secret));
  EXPECT_FALSE(AgeIdentity::parse(""));
  EXPECT_FALSE(AgeIdentity::parse(secret + "Q"));
  EXPECT_FALSE(AgeIdentity::parse(secret.substr(0, secret.size() - 1)));
  EXPECT_FALSE(AgeIdentity::parse("a" + secret.substr(1)));  // mixed case
}

TEST(AgeKeys, AnErrorNamesTheLineAndNeverTheText) {
  const AgeIdentity identity = AgeIdentity::generate();
  const std::string secret(identity.to_secret().reveal());
  std::string damaged = secret;
  damaged[30] = damaged[30] == 'Q' ? 'P' : 'Q';
  const auto parsed = AgeIdentity::parse_all("# comment\n\n" + damaged + "\n");
  ASSERT_FALSE(parsed);
  const std::string text = parsed.error().to_string();
  EXPECT_NE(text.find("line 3"), std::string::npos) << text;
  EXPECT_EQ(text.find(damaged.substr(16, 10)), std::string::npos);
}

}  // namespace
}  // namespace opi::secrets
