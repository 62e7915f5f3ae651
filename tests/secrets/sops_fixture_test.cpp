// Files that the program sops 3.13.1 wrote, opened by us: their plaintext is what that program prints, to the byte.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "secrets/age.hpp"
#include "secrets/sops.hpp"

namespace opi::secrets::sops {
namespace {

std::string read_fixture(const std::string& name) {
  const std::string path = std::string(OPI_SOURCE_DIR) + "/tests/secrets/fixtures/sops/" + name;
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

const AgeIdentity& identity() {
  static const AgeIdentity key = AgeIdentity::parse_file(read_fixture("keys/k1.txt")).value();
  return key;
}

class SopsFixture : public testing::TestWithParam<const char*> {};

TEST_P(SopsFixture, OpensToWhatTheProgramPrints) {
  const std::string name = GetParam();
  const auto plain = decrypt(read_fixture("enc/" + name), format_of(name), {.identities = std::span(&identity(), 1)});
  ASSERT_TRUE(plain) << plain.error().to_string();
  EXPECT_EQ(plain->reveal(), read_fixture("expected/" + name));
}

TEST_P(SopsFixture, NeedsItsKey) {
  const std::string name = GetParam();
  const AgeIdentity other = AgeIdentity::generate();
  const auto plain = decrypt(read_fixture("enc/" + name), format_of(name), {.identities = std::span(&other, 1)});
  ASSERT_FALSE(plain);
  EXPECT_EQ(plain.error().code, error_codes::data_key);
  EXPECT_NE(plain.error().to_string().find(identity().recipient().to_string()), std::string::npos);
}

TEST_P(SopsFixture, AnEditWithoutChangesKeepsEveryValuesCiphertext) {
  const std::string name = GetParam();
  const DecryptOptions options{.identities = std::span(&identity(), 1)};
  const std::string before = read_fixture("enc/" + name);
  const auto after = edit(before, read_fixture("expected/" + name), format_of(name), options, WallTime{});
  ASSERT_TRUE(after) << after.error().to_string();
  // Comments may have moved to lines of their own, but every ENC text but the MAC's is still there.
  std::size_t kept = 0;
  for (std::size_t at = before.find("ENC["); at != std::string::npos; at = before.find("ENC[", at + 1)) {
    const std::string text = before.substr(at, before.find(']', at) - at + 1);
    if (before.substr(0, at).ends_with("mac: ") || before.substr(0, at).ends_with("mac\": \"") ||
        before.substr(0, at).ends_with("mac=")) {
      EXPECT_EQ(after->find(text), std::string::npos);
      continue;
    }
    // Up to 3.13.1 whole numbers in JSON were written as floats; in YAML "1" and "-0" are whole numbers once printed.
    const std::string_view line = std::string_view(before).substr(0, at);
    if (text.ends_with("type:float]") &&
        (name.ends_with(".json") || line.ends_with("f_one: ") || line.ends_with("f_neg0: "))) {
      continue;
    }
    EXPECT_NE(after->find(text), std::string::npos) << text;
    ++kept;
  }
  EXPECT_GE(kept, 3U);
  const auto again = decrypt(*after, format_of(name), options);
  ASSERT_TRUE(again) << again.error().to_string();
  std::string expected = read_fixture("expected/" + name);
  if (const std::size_t zero = expected.find("f_neg0: -0"); zero != std::string::npos) expected.erase(zero + 8, 1);
  EXPECT_EQ(again->reveal(), expected);
}

INSTANTIATE_TEST_SUITE_P(Files, SopsFixture,
                         testing::Values("types.yaml", "comments.yaml", "k8s-secret.yaml",
                                         "secret.encrypted_regex.yaml", "types.json", "app.env"));

}  // namespace
}  // namespace opi::secrets::sops
