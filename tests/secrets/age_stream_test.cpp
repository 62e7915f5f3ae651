// Streams: any cutting of the input gives the same bytes, only one chunk is held, and damage is found where it is.
#include "secrets/age_stream.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <span>
#include <string>

#include "secrets/age.hpp"
#include "secrets/age_program.hpp"
#include "secrets/base64.hpp"
#include "secrets/primitives.hpp"

namespace opi::secrets {
namespace {

std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>((i * 151 + i / 257) & 0xffU);
  return bytes;
}

std::string sealed_in_pieces(std::string_view plaintext, const AgeIdentity& identity, AgeForm form, std::size_t piece) {
  auto encryptor = AgeEncryptor::create(std::span(&identity.recipient(), 1), form);
  std::string file;
  for (; !plaintext.empty(); plaintext.remove_prefix(std::min(piece, plaintext.size()))) {
    encryptor->write(plaintext.substr(0, piece), file);
  }
  encryptor->finish(file);
  return file;
}

struct Opened {
  std::string plaintext;
  Result<> ended;
};

Opened opened_in_pieces(std::string_view file, const AgeIdentity& identity, std::size_t piece) {
  AgeDecryptor decryptor({.identities = std::span(&identity, 1)});
  Opened opened;
  for (; !file.empty() && opened.ended; file.remove_prefix(std::min(piece, file.size()))) {
    opened.ended = decryptor.write(file.substr(0, piece), opened.plaintext);
  }
  if (opened.ended) opened.ended = decryptor.finish(opened.plaintext);
  return opened;
}

TEST(AgeStream, AnyPiecesGiveTheSamePlaintext) {
  const AgeIdentity identity = AgeIdentity::generate();
  for (const std::size_t size : {0UL, 1UL, 65535UL, 65536UL, 65537UL, 131072UL, 150'000UL}) {
    const std::string plaintext = pattern(size);
    for (const AgeForm form : {AgeForm::binary, AgeForm::armored}) {
      for (const std::size_t piece : {997UL, 65536UL, 65552UL, 1UL << 20U}) {
        const std::string file = sealed_in_pieces(plaintext, identity, form, piece);
        const auto whole = age_decrypt(file, std::span(&identity, 1));
        ASSERT_TRUE(whole) << whole.error().to_string();
        ASSERT_TRUE(whole->equals(plaintext)) << size << ' ' << piece;
        const Opened again = opened_in_pieces(file, identity, piece);
        ASSERT_TRUE(again.ended) << again.ended.error().to_string();
        ASSERT_TRUE(again.plaintext == plaintext) << size << ' ' << piece;
      }
    }
  }
  const std::string small = sealed_in_pieces("x", identity, AgeForm::armored, 1);
  EXPECT_EQ(opened_in_pieces(small, identity, 1).plaintext, "x");
}

RC_GTEST_PROP(AgeStream, WhatIsSealedOpensAgain, (const std::string& plaintext)) {
  static const AgeIdentity identity = AgeIdentity::generate();
  const std::size_t piece = *rc::gen::inRange<std::size_t>(1, 100);
  const auto form = *rc::gen::element(AgeForm::binary, AgeForm::armored);
  const Opened opened = opened_in_pieces(sealed_in_pieces(plaintext, identity, form, piece), identity, piece);
  RC_ASSERT(opened.ended.has_value());
  RC_ASSERT(opened.plaintext == plaintext);
}

RC_GTEST_PROP(AgeStream, AnyFlippedByteIsRefused, ()) {
  static const AgeIdentity identity = AgeIdentity::generate();
  static const std::string file = sealed_in_pieces(pattern(70'000), identity, AgeForm::binary, 70'000);
  std::string changed = file;
  const std::size_t at = *rc::gen::inRange<std::size_t>(0, file.size());
  changed[at] = static_cast<char>(changed[at] ^ *rc::gen::inRange(1, 256));
  RC_ASSERT(!opened_in_pieces(changed, identity, 4096).ended.has_value());
}

TEST(AgeStream, VerifiedChunksBeforeADamagedOneComeOut) {
  const AgeIdentity identity = AgeIdentity::generate();
  std::string file = sealed_in_pieces(pattern(200'000), identity, AgeForm::binary, 200'000);
  file[file.size() - 40] = static_cast<char>(file[file.size() - 40] ^ 1);  // in the last chunk
  const Opened opened = opened_in_pieces(file, identity, 1000);
  ASSERT_FALSE(opened.ended);
  EXPECT_TRUE(opened.plaintext == pattern(200'000).substr(0, std::size_t{3} * 65536));
}

TEST(AgeStream, ACutFileIsNotWhole) {
  const AgeIdentity identity = AgeIdentity::generate();
  const std::string file = sealed_in_pieces(pattern(140'000), identity, AgeForm::binary, 140'000);
  const std::size_t payload = file.size() - 140'000 - 3 * 16;
  for (const std::size_t size :
       {payload - 20, payload, payload + 10, payload + 65552, payload + 2 * 65552, file.size() - 1}) {
    EXPECT_FALSE(opened_in_pieces(file.substr(0, size), identity, 4096).ended) << size;
  }
  EXPECT_FALSE(opened_in_pieces(file + "x", identity, 4096).ended);
}

TEST(AgeStream, HoldsOneChunkHoweverMuchIsWritten) {
  const AgeIdentity identity = AgeIdentity::generate();
  auto encryptor = AgeEncryptor::create(std::span(&identity.recipient(), 1), AgeForm::binary);
  AgeDecryptor decryptor({.identities = std::span(&identity, 1)});
  const std::string piece = pattern(std::size_t{1} << 20U);
  std::size_t written = 0;
  std::size_t opened = 0;
  std::string sealed;
  std::string plain;
  for (int i = 0; i < 8; ++i) {
    encryptor->write(piece, sealed);
    written += piece.size();
    EXPECT_LE(written, opened + sealed.size() + 2 * age_chunk_bytes);  // nothing is kept back but a chunk
    ASSERT_TRUE(decryptor.write(sealed, plain));
    opened += plain.size();
    EXPECT_GE(opened + 2 * age_sealed_chunk_bytes, written);
    sealed.clear();
    plain.clear();
  }
}

TEST(AgePassphrase, OpensWithItAndNothingElse) {
  const SecretString passphrase("a passphrase");
  const auto file = age_encrypt_with_passphrase("text", passphrase, 8);
  ASSERT_TRUE(file);
  EXPECT_TRUE(age_decrypt_with_passphrase(*file, passphrase)->equals("text"));
  EXPECT_EQ(age_decrypt_with_passphrase(*file, SecretString("another")).error().kind, ErrorKind::denied);
  EXPECT_EQ(age_decrypt_with_passphrase(*file, passphrase, 7).error().kind, ErrorKind::invalid);
  const AgeIdentity identity = AgeIdentity::generate();
  const auto refused = age_decrypt(*file, std::span(&identity, 1));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("passphrase"), std::string::npos);
  EXPECT_FALSE(age_encrypt_with_passphrase("text", SecretString("")));
}

TEST(AgePassphrase, RefusesAWorkFactorThatIsNoPlainNumber) {
  const std::string file = age_encrypt_with_passphrase("text", SecretString("p"), 8).value();
  const std::size_t at = file.find(" 8\n");
  for (const char* factor : {" 08", " +8", " 8x", " 23", " 4294967304", " 0"}) {
    std::string changed = file;
    changed.replace(at, 2, factor);
    EXPECT_EQ(age_decrypt_with_passphrase(changed, SecretString("p")).error().kind, ErrorKind::invalid) << factor;
  }
}

TEST(AgeKeyTypes, ThatAreNotSupportedAreNamed) {
  const auto message = [](const auto& parsed) { return parsed ? std::string("accepted") : parsed.error().to_string(); };
  EXPECT_NE(message(AgeRecipient::parse("age1pq1qqqq")).find("ML-KEM hybrid recipient"), std::string::npos);
  EXPECT_NE(message(AgeIdentity::parse("AGE-SECRET-KEY-PQ-1QQQQ")).find("ML-KEM hybrid identity"), std::string::npos);
  EXPECT_NE(message(AgeIdentity::parse("AGE-PLUGIN-YUBIKEY-1QQQ")).find("plugin identity"), std::string::npos);
  EXPECT_NE(message(AgeRecipient::parse("ssh-ed25519 AAAA")).find("ssh-ed25519"), std::string::npos);
  EXPECT_EQ(AgeRecipient::parse("age1pq1qqqq").error().kind, ErrorKind::unsupported);
  const auto file = AgeIdentity::parse_all("# a comment\nAGE-SECRET-KEY-PQ-1SECRETSECRET\n");
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().to_string().find("line 2"), std::string::npos);
  EXPECT_EQ(file.error().to_string().find("SECRETSECRET"), std::string::npos);
}

TEST(AgeKeyTypes, AFileForHybridKeysAloneSaysSo) {
  const AgeIdentity identity = AgeIdentity::generate();
  std::string file = age_encrypt("x", std::span(&identity.recipient(), 1)).value();
  file.replace(file.find("X25519"), 6, "mlkem768x25519");
  const auto refused = age_decrypt(file, std::span(&identity, 1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::unsupported);
  EXPECT_NE(refused.error().message.find("mlkem768x25519"), std::string::npos);
}

TEST(AgeRecipientsFile, IsReadLineByLine) {
  const AgeIdentity one = AgeIdentity::generate();
  const AgeIdentity two = AgeIdentity::generate();
  const auto read =
      AgeRecipient::parse_all("# team\n\n" + one.recipient().to_string() + "\r\n" + two.recipient().to_string());
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, (std::vector{one.recipient(), two.recipient()}));
  EXPECT_FALSE(AgeRecipient::parse_all("# nobody\n"));
  EXPECT_NE(AgeRecipient::parse_all("\nage1nonsense\n").error().to_string().find("line 2"), std::string::npos);
}

}  // namespace
}  // namespace opi::secrets
