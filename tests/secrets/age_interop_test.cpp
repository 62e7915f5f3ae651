// The age program and we read each other's files and keys. It is a test dependency: without it these tests fail.
#include <gtest/gtest.h>

#include <span>

#include "secrets/age.hpp"
#include "secrets/age_program.hpp"

namespace opi::secrets {
namespace {

using testing_support::Folder;
using testing_support::run;

std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>((i * 131 + i / 251) & 0xffU);
  return bytes;
}

class AgeProgram : public testing::TestWithParam<std::size_t> {
 protected:
  Folder folder_;
};

TEST_P(AgeProgram, OpensWhatWeSealToItsKey) {
  ASSERT_EQ(run({"age-keygen", "-o", folder_.file("key")}), 0);
  const auto identity = AgeIdentity::parse_file(folder_.read("key"));
  ASSERT_TRUE(identity) << identity.error().to_string();
  const std::string plaintext = pattern(GetParam());
  const auto sealed = age_encrypt(plaintext, std::span(&identity->recipient(), 1));
  ASSERT_TRUE(sealed);
  folder_.write("binary.age", *sealed);
  folder_.write("armored.age", age_armor(*sealed));
  for (const std::string form : {"binary", "armored"}) {
    ASSERT_EQ(run({"age", "-d", "-i", folder_.file("key"), "-o", folder_.file(form), folder_.file(form + ".age")}), 0);
    EXPECT_TRUE(folder_.read(form) == plaintext) << form;
  }
}

TEST_P(AgeProgram, SealsToOurKeyWhatWeOpen) {
  const AgeIdentity identity = AgeIdentity::generate();
  const std::string plaintext = pattern(GetParam());
  folder_.write("plain", plaintext);
  const std::string recipient = identity.recipient().to_string();
  ASSERT_EQ(run({"age", "-r", recipient, "-o", folder_.file("binary"), folder_.file("plain")}), 0);
  ASSERT_EQ(run({"age", "-a", "-r", recipient, "-o", folder_.file("armored"), folder_.file("plain")}), 0);
  for (const std::string form : {"binary", "armored"}) {
    const auto opened = age_decrypt(folder_.read(form), std::span(&identity, 1));
    ASSERT_TRUE(opened) << opened.error().to_string();
    EXPECT_TRUE(opened->equals(plaintext)) << form;
  }
}

// Around the chunk size of 64 KiB: empty, short, one less, exactly one chunk, one more, several.
INSTANTIATE_TEST_SUITE_P(Sizes, AgeProgram, testing::Values(0, 1, 65535, 65536, 65537, 131072, 200000));

TEST(AgeProgramKeys, ReadsTheKeyFileThatWeWrite) {
  const Folder folder;
  const AgeIdentity identity = AgeIdentity::generate();
  folder.write("key", identity.to_key_file("2026-01-02T03:04:05Z").reveal());
  ASSERT_EQ(run({"age-keygen", "-y", "-o", folder.file("public"), folder.file("key")}), 0);
  EXPECT_EQ(folder.read("public"), identity.recipient().to_string() + "\n");
}

TEST(AgeProgramKeys, OpensAFileForSeveralRecipientsWithEachOfThem) {
  const Folder folder;
  std::vector<AgeIdentity> identities;
  std::vector<AgeRecipient> recipients;
  for (int i = 0; i < 3; ++i) {
    identities.push_back(AgeIdentity::generate());
    recipients.push_back(identities.back().recipient());
  }
  const auto sealed = age_encrypt("to all of you", recipients);
  ASSERT_TRUE(sealed);
  folder.write("sealed", *sealed);
  for (std::size_t i = 0; i < identities.size(); ++i) {
    const std::string key = "key" + std::to_string(i);
    folder.write(key, identities[i].to_key_file("now").reveal());
    ASSERT_EQ(run({"age", "-d", "-i", folder.file(key), "-o", folder.file("plain"), folder.file("sealed")}), 0);
    EXPECT_EQ(folder.read("plain"), "to all of you");
  }
}

}  // namespace
}  // namespace opi::secrets
