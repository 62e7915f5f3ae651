// Known answers for every primitive, from the documents that define them.
#include "secrets/primitives.hpp"

#include <gtest/gtest.h>

#include <string>

#include "secrets/aes_gcm.hpp"

namespace opi::secrets {
namespace {

std::string from_hex(std::string_view hex) {
  std::string bytes;
  std::string pair;
  for (const char c : hex) {
    if (c == ' ') continue;
    pair.push_back(c);
    if (pair.size() < 2) continue;
    bytes.push_back(static_cast<char>(std::stoi(pair, nullptr, 16)));
    pair.clear();
  }
  return bytes;
}

template <std::size_t Size>
std::string text(const std::array<unsigned char, Size>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), Size};
}

void fill(Key& key, std::string_view bytes) {
  std::copy_n(bytes.begin(), Key::size(), reinterpret_cast<char*>(key.data()));
}

TEST(Primitives, X25519OfRfc7748) {
  const std::string scalar = from_hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");  // §5.2
  const std::string point = from_hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
  Key shared;
  ASSERT_TRUE(x25519(scalar, point, shared));
  EXPECT_EQ(shared.view(), from_hex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"));
  std::string base(32, '\0');
  base[0] = 9;
  Key own;
  ASSERT_TRUE(x25519(scalar, base, own));
  EXPECT_EQ(own.view(), text(x25519_public(scalar)));
  EXPECT_FALSE(x25519(scalar, std::string(32, '\0'), shared));  // a point of low order
}

TEST(Primitives, HkdfSha256OfRfc5869) {
  Key key;
  Hkdf().derive(std::string(22, '\x0b'), from_hex("000102030405060708090a0b0c"), from_hex("f0f1f2f3f4f5f6f7f8f9"), key);
  EXPECT_EQ(key.view(), from_hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"));  // A.1
  Hkdf().derive(std::string(22, '\x0b'), {}, {}, key);
  EXPECT_EQ(key.view(), from_hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"));  // A.3
}

TEST(Primitives, ChaCha20Poly1305SealsAndOpens) {
  Key key;
  fill(key, from_hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"));
  ChaCha20Poly1305 cipher(key);
  const ChaCha20Poly1305::Nonce nonce{7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47};
  const std::string plain =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be "
      "it.";
  std::string sealed;
  cipher.seal(nonce, plain, sealed);
  // RFC 8439 §2.8.2; its tag covers additional data, which we have none of, so the ciphertext alone is compared.
  EXPECT_EQ(sealed.substr(0, 32), from_hex("d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"));
  std::string opened;
  ASSERT_TRUE(cipher.open(nonce, sealed, opened));
  EXPECT_EQ(opened, plain);
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i] = static_cast<char>(changed[i] ^ 0x80);
    std::string nothing;
    EXPECT_FALSE(cipher.open(nonce, changed, nothing));
    EXPECT_TRUE(nothing.empty());
  }
}

TEST(Primitives, ChaCha20Poly1305TagWithoutAdditionalData) {
  Key key;  // Project Wycheproof, chacha20_poly1305_test.json, the empty message without additional data
  fill(key, from_hex("80ba3192c803ce965ea371d5ff073cf0f43b6a2ab576b208426e11409c09b9b0"));
  const ChaCha20Poly1305::Nonce nonce{0x4d, 0xa5, 0xbf, 0x8d, 0xfd, 0x58, 0x52, 0xc1, 0xea, 0x12, 0x37, 0x9d};
  std::string sealed;
  ChaCha20Poly1305(key).seal(nonce, "", sealed);
  EXPECT_EQ(sealed, from_hex("76acb342cf3166a5b63c0c0ea1383c8d"));
}

TEST(Primitives, ScryptOfRfc7914) {
  Key key;
  ASSERT_TRUE(scrypt("pleaseletmein", "SodiumChloride", 14, key));  // §12: N 16384, r 8, p 1, its first 32 bytes
  EXPECT_EQ(key.view(), from_hex("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"));
  EXPECT_THROW(scrypt("p", "s", 0, key), std::invalid_argument);
  EXPECT_THROW(scrypt("p", "s", 31, key), std::invalid_argument);
}

TEST(Primitives, Aes256GcmOfTheGcmSpecification) {
  // Test case 16, and 18 with a nonce of 60 bytes.
  const std::string key = from_hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
  const std::string plain = from_hex(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657"
      "ba637b39");
  const std::string associated = from_hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  Aes256Gcm cipher(key);
  const std::string sealed = cipher.seal(from_hex("cafebabefacedbaddecaf888"), associated, plain);
  EXPECT_EQ(sealed,
            from_hex("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
                     "c5f61e6393ba7a0abcc9f662 76fc6ece0f4e1768cddf8853bb2d551b"));
  const std::string long_nonce = from_hex(
      "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57"
      "a637b39b");
  const std::string other = cipher.seal(long_nonce, associated, plain);
  EXPECT_EQ(other,
            from_hex("5a8def2f0c9e53f1f75d7853659e2a20eeb2b22aafde6419a058ab4f6f746bf40fc0c3b780f244452da3ebf1c5d82cde"
                     "a2418997200ef82e44ae7e3f a44a8266ee1c8eb0c8b5d4cf5ae9f19a"));
  std::string opened;
  const std::string_view view = other;
  ASSERT_TRUE(cipher.open(long_nonce, associated, view.substr(0, plain.size()), view.substr(plain.size()), opened));
  EXPECT_EQ(opened, plain);
  std::string nothing;
  EXPECT_FALSE(cipher.open(long_nonce, "other", view.substr(0, plain.size()), view.substr(plain.size()), nothing));
  EXPECT_FALSE(cipher.open({}, associated, view.substr(0, plain.size()), view.substr(plain.size()), nothing));
  EXPECT_FALSE(cipher.open(long_nonce, associated, view.substr(0, plain.size()), "short", nothing));
  EXPECT_TRUE(nothing.empty());
  EXPECT_THROW(Aes256Gcm("short"), std::invalid_argument);
}

TEST(Primitives, Sha512OfFips180) {
  Sha512 hash;
  hash.add("a");
  hash.add("bc");
  EXPECT_EQ(hash.finish_hex(),
            "DDAF35A193617ABACC417349AE20413112E6FA4E89A97EA20A9EEEE64B55D39A"
            "2192992A274FC1A836BA3C23A3FEEBBD454D4423643CE80E2A9AC94FA54CA49F");
}

TEST(Primitives, SecretsAreComparedWhole) {
  EXPECT_TRUE(equal_in_constant_time("same", "same"));
  EXPECT_FALSE(equal_in_constant_time("same", "sama"));
  EXPECT_FALSE(equal_in_constant_time("same", "sam"));
  EXPECT_TRUE(equal_in_constant_time("", ""));
}

}  // namespace
}  // namespace opi::secrets
