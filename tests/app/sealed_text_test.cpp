#include "app/sealed_text.hpp"

#include <gtest/gtest.h>

#include "secrets/base64.hpp"

namespace opi::app {
namespace {

TEST(SealedText, WhatIsSealedToThePlatformKeyIsOpenedAndAnythingElseIsItself) {
  const auto key = secrets::PlatformKey::generate();
  const auto file = key.seal("hush").value();
  EXPECT_EQ(unsealed(SecretString("base64+age:" + secrets::base64_encode(file)), key)->reveal(), "hush");
  EXPECT_EQ(unsealed(SecretString("  base64+age:" + secrets::base64_encode(file) + "\n"), key)->reveal(), "hush");
  EXPECT_EQ(unsealed(SecretString("hush"), key)->reveal(), "hush");
  EXPECT_EQ(unsealed(SecretString("plain:age:x"), key)->reveal(), "age:x");
  EXPECT_EQ(unsealed(SecretString(""), key)->reveal(), "");
}

TEST(SealedText, WhatCannotBeOpenedIsAnErrorThatDoesNotShowIt) {
  const auto key = secrets::PlatformKey::generate();
  const auto other = secrets::PlatformKey::generate().seal("hush").value();
  EXPECT_EQ(unsealed(SecretString("base64+age:" + secrets::base64_encode(other)), key).error().kind, ErrorKind::denied);
  for (const char* bad : {"base64+age:!!", "age:nothing", "-----BEGIN AGE ENCRYPTED FILE-----\\nxx"})
    EXPECT_FALSE(unsealed(SecretString(bad), key)) << bad;
}

}  // namespace
}  // namespace opi::app
