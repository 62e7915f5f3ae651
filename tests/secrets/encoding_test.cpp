// Bech32, base64 and hashes against the vectors of their specifications, and what a strict reader must refuse.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "secrets/base64.hpp"
#include "secrets/bech32.hpp"
#include "secrets/keyed_hash.hpp"

namespace opi::secrets {
namespace {

TEST(Bech32, ReadsTheValidVectorsOfBip173) {
  // BIP 173, "Test vectors": the separator may stand last of several; a prefix may hold any printable character.
  for (const char* text : {"A12UEL5L", "a12uel5l",
                           "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
                           "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", "?1ezyfcl",
                           "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w"}) {
    const auto decoded = bech32_decode(text);
    // The digits of "abcdef1…" and "split1…" are whole numbers of bytes; all of these decode.
    EXPECT_TRUE(decoded) << text << ": " << (decoded ? "" : decoded.error().to_string());
  }
}

TEST(Bech32, RefusesTheInvalidVectorsOfBip173) {
  for (const char* text :
       {"\x20"
        "1nwldj5",
        "\x7f"
        "1axkwrx",
        "\x80"
        "1eym55h",
        "pzry9x0s0muk", "1pzry9x0s0muk", "x1b4n0q5v", "li1dgmt3", "de1lg7wt\xff", "A1G7SGD8", "10a06t8", "1qzzfhee"}) {
    EXPECT_FALSE(bech32_decode(text)) << text;
  }
}

TEST(Bech32, RefusesMixedCase) {
  const auto decoded = bech32_decode("A12uEL5L");
  ASSERT_FALSE(decoded);
  EXPECT_NE(decoded.error().message.find("case"), std::string::npos);
}

/// A text with a right checksum over any 5-bit digits: what a careless writer could produce. After BIP 173's reference
/// code.
std::string with_checksum(const std::string& prefix, const std::vector<int>& digits) {
  const auto polymod = [](const std::vector<int>& values) {
    const std::array<std::uint32_t, 5> generator{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
    std::uint32_t check = 1;
    for (const int value : values) {
      const std::uint32_t top = check >> 25U;
      check = (check & 0x1ffffffU) << 5U ^ static_cast<std::uint32_t>(value);
      for (std::size_t i = 0; i < 5; ++i) check ^= (top >> i & 1U) != 0 ? generator[i] : 0;
    }
    return check;
  };
  std::vector<int> values;
  for (const char c : prefix) values.push_back(c >> 5);
  values.push_back(0);
  for (const char c : prefix) values.push_back(c & 31);
  values.insert(values.end(), digits.begin(), digits.end());
  values.insert(values.end(), 6, 0);
  const std::uint32_t code = polymod(values) ^ 1U;
  const std::string alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
  std::string text = prefix + "1";
  for (const int digit : digits) text += alphabet[static_cast<std::size_t>(digit)];
  for (unsigned i = 0; i < 6; ++i) text += alphabet[code >> 5 * (5 - i) & 31U];
  return text;
}

TEST(Bech32, RefusesPaddingThatIsNotZero) {
  const auto right = bech32_decode(with_checksum("age", {31, 28}));  // 11111 111|00
  ASSERT_TRUE(right);
  EXPECT_TRUE(right->data.equals("\xff"));
  for (const std::vector<int>& digits : {std::vector<int>{31, 29}, std::vector<int>{31, 28, 0}, std::vector<int>{31}}) {
    const auto decoded = bech32_decode(with_checksum("age", digits));
    ASSERT_FALSE(decoded);
    EXPECT_NE(decoded.error().message.find("padding"), std::string::npos) << decoded.error().message;
  }
}

TEST(Bech32, RoundTripsEveryLength) {
  std::string bytes;
  for (int length = 0; length <= 80; ++length) {
    const SecretString text = bech32_encode("age-secret-key-", bytes);
    const auto decoded = bech32_decode(text.reveal());
    ASSERT_TRUE(decoded) << length;
    EXPECT_EQ(decoded->prefix, "age-secret-key-");
    EXPECT_TRUE(decoded->data.equals(bytes)) << length;
    bytes.push_back(static_cast<char>(length * 37 + 11));
  }
}

TEST(Bech32, NoticesEverySingleWrongCharacter) {
  const std::string text(bech32_encode("age", std::string(32, '\x5a')).reveal());
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const char other : std::string_view("qpzry9x8gf2tvdw0s3jn54khce6mua7l1")) {
      if (other == text[i]) continue;
      std::string changed = text;
      changed[i] = other;
      EXPECT_FALSE(bech32_decode(changed)) << "character " << i;
    }
  }
}

TEST(Base64, AnswersTheVectorsOfRfc4648) {
  const std::array<std::pair<const char*, const char*>, 7> vectors{{{"", ""},
                                                                    {"f", "Zg=="},
                                                                    {"fo", "Zm8="},
                                                                    {"foo", "Zm9v"},
                                                                    {"foob", "Zm9vYg=="},
                                                                    {"fooba", "Zm9vYmE="},
                                                                    {"foobar", "Zm9vYmFy"}}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(base64_encode(bytes), text);
    EXPECT_EQ(base64_decode(text).value(), bytes);
    std::string bare = text;
    while (bare.ends_with('=')) bare.pop_back();
    EXPECT_EQ(base64_encode(bytes, Padding::unpadded), bare);
    EXPECT_EQ(base64_decode(bare, Padding::unpadded).value(), bytes);
  }
}

TEST(Base64, RefusesEverythingButTheOneCanonicalText) {
  for (const char* text : {"Zg", "Zg=", "Zg===", "Z===", "Zh==", "Zm9=", "Zm9v\n", " Zm9v", "Zm9-", "Zm9_",
                           "Zg==Zg==", "====", "=", "Zm=v"}) {
    EXPECT_FALSE(base64_decode(text)) << text;
  }
  for (const char* text : {"Zg==", "Zh", "Zm9", "Z", "Zm9v=", "Zm9vY", "Zm 9"}) {
    EXPECT_FALSE(base64_decode(text, Padding::unpadded)) << text;
  }
}

TEST(Hashes, AnswerTheVectorsOfTheirStandards) {
  EXPECT_EQ(to_hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");  // FIPS 180-4
  EXPECT_EQ(to_hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  // RFC 4231, test case 1.
  const auto hash = KeyedHash::create(SecretString(std::string(20, '\x0b')));
  ASSERT_TRUE(hash);
  EXPECT_EQ(hash->hex("Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
}

TEST(Hashes, RefuseAShortKey) {
  EXPECT_FALSE(KeyedHash::create(SecretString(std::string(15, 'k'))));
  EXPECT_TRUE(KeyedHash::create(SecretString(std::string(16, 'k'))));
}

}  // namespace
}  // namespace opi::secrets
