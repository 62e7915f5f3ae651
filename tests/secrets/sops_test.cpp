// What SOPS files promise: they come back as they were, and nothing in them can be changed unnoticed.
#include "secrets/sops.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "secrets/age.hpp"

namespace opi::secrets::sops {
namespace {

class Sops : public testing::Test {
 protected:
  std::string encrypted(std::string_view text, Format format, Selector selector = {}, bool mac_only = false) {
    auto file = encrypt(text, format,
                        {.recipients = std::span(&identity_.recipient(), 1),
                         .selector = std::move(selector),
                         .mac_only_encrypted = mac_only,
                         .now = WallTime(std::chrono::seconds(1'800'000'000))});
    EXPECT_TRUE(file) << file.error().to_string();
    return file ? *file : std::string{};
  }
  Result<SecretString> opened(std::string_view file, Format format) {
    return decrypt(file, format, {.identities = std::span(&identity_, 1)});
  }
  /// What comes back, or the error.
  std::string round_trip(std::string_view text, Format format, Selector selector = {}) {
    const auto plain = opened(encrypted(text, format, std::move(selector)), format);
    return plain ? std::string(plain->reveal()) : plain.error().to_string();
  }
  std::string error_code(std::string_view file, Format format) {
    const auto plain = opened(file, format);
    return plain ? "it opened" : plain.error().code;
  }
  static std::string replaced(std::string text, std::string_view from, std::string_view to) {
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return at == std::string::npos ? text : text.replace(at, from.size(), to);
  }

  const AgeIdentity identity_ = AgeIdentity::generate();
};

TEST_F(Sops, YamlKeepsDocumentsCommentsOrderAndTypes) {
  const std::string text =
      "# head\n"
      "b: one\n"
      "a:\n"
      "    # inside\n"
      "    num: 1\n"
      "    f: 1.5\n"
      "    t: true\n"
      "    z: null\n"
      "    e: \"\"\n"
      "    d: 2020-01-02T00:00:00Z\n"
      "    # tail\n"
      "list:\n"
      "    # first\n"
      "    - x\n"
      "    - k: v\n"
      "      l:\n"
      "        - 1\n"
      "    - - deep\n"
      "      - \"y\"\n"
      "empty_map: {}\n"
      "empty_list: []\n"
      "big: 9223372036854775807\n"
      "# foot\n"
      "---\n"
      "# second\n"
      "c: two\n";
  EXPECT_EQ(round_trip(text, Format::yaml), text);
}

TEST_F(Sops, YamlKeepsEveryCommentOnceWhereverItStands) {
  const std::string text =
      "a: 1 # line of a\n# before list\nlist: # of list\n- x # of x\n# between\n- k: v # of k\n  # after k\n  l: [1, "
      "2] # flow\n"
      "- # of dash\n  z: | # header\n    text\n- - y # deep\n# foot\nmap:\n    # in map\n    c: 1\n    # tail\nend: "
      "2\n";
  const std::string written = round_trip(text, Format::yaml);
  EXPECT_EQ(
      written,
      "# line of a\na: 1\n# before list\n# of list\nlist:\n    # of x\n    - x\n    # between\n    # of k\n    - k: v\n"
      "      # after k\n      l:\n        # flow\n        - 1\n        - 2\n    # of dash\n    # header\n    - z: |\n"
      "        text\n    # deep\n    - - \"y\"\n# foot\nmap:\n    # in map\n    c: 1\n    # tail\nend: 2\n");
  EXPECT_EQ(round_trip(written, Format::yaml), written);
  // Comments that stay plain stay behind their values.
  EXPECT_EQ(round_trip("l:\n    - k_unencrypted: v # of k\n      o: 1\n", Format::yaml),
            "l:\n    # of k\n    - k_unencrypted: v\n      o: 1\n");
}

TEST_F(Sops, YamlWritesStringsSoThatTheyStayStrings) {
  for (const char* value : {"\"123\"",
                            "\"0x1F\"",
                            "\"true\"",
                            "\"null\"",
                            "\"2020-01-02\"",
                            "\"yes\"",
                            "\"1:30:00\"",
                            "'a: b'",
                            "' lead'",
                            "'# no comment'",
                            "\"a\\tb\"",
                            "\"\\U0001F511\"",
                            "|-\n    one\n    two",
                            "|+\n    one\n\n",
                            "\"1_000\"",
                            "\"<<\"",
                            "plain text",
                            "h\xC3\xA9llo",
                            "\"=\"",
                            "'*a'"}) {
    const std::string text = std::string("k: ") + value + (std::string_view(value).ends_with('\n') ? "" : "\n");
    if (std::string_view(value) == "\"=\"") continue;
    EXPECT_EQ(round_trip(text, Format::yaml), text);
  }
}

TEST_F(Sops, YamlReadsNumbersAsGoDoes) {
  EXPECT_EQ(
      round_trip("a: 0o17\nb: 017\nc: 0x1F\nd: 0b11\ne: 1_000\nf: 1e3\ng: .5\nh: 1e6\ni: .inf\nj: 08\n", Format::yaml),
      "a: 15\nb: 15\nc: 31\nd: 3\ne: 1000\nf: 1000\ng: 0.5\nh: 1e+06\ni: .inf\nj: 8\n");
}

TEST_F(Sops, YamlAliasesAreCopiedOut) {
  EXPECT_EQ(round_trip("a: &x\n    k: v\nb: *x\nc:\n    <<: *x\n", Format::yaml),
            "a:\n    k: v\nb:\n    k: v\nc:\n    \"<<\":\n        k: v\n");
}

TEST_F(Sops, JsonKeepsOrderNumbersAndNulls) {
  const std::string text =
      "{\n\t\"b\": \"\xC3\xA9\\u003c\\n\",\n\t\"a\": [\n\t\t1,\n\t\t9007199254740993,\n\t\t1.5,\n\t\tnull,\n\t\ttrue,\n"
      "\t\t{}\n\t],\n\t\"e\": \"\"\n}\n";
  EXPECT_EQ(round_trip(text, Format::json), text);
}

TEST_F(Sops, BytesThatAreNoUtf8InJsonAreReplacedInKeysAndValuesAsTheyAreRead) {
  EXPECT_EQ(round_trip("{\n\t\"a\xF0\xFF\": \"b\xFF\"\n}\n", Format::json),
            "{\n\t\"a\xEF\xBF\xBD\xEF\xBF\xBD\": \"b\xEF\xBF\xBD\"\n}\n");
}

TEST_F(Sops, DotenvAndIniAndBinaryComeBack) {
  const std::string dotenv = "# comment\nA=one\nB=\nC=a=b\nD=line\\nline\n";
  EXPECT_EQ(round_trip(dotenv, Format::dotenv), dotenv);
  const std::string ini = "; about\n[section]\n; a key\nname  = value\nother = with spaces\n\n[second]\nk = v\n";
  EXPECT_EQ(round_trip(ini, Format::ini), ini);
  std::string binary(1000, '\0');
  for (std::size_t i = 0; i < binary.size(); ++i) binary[i] = static_cast<char>(i & 0x7fU);
  EXPECT_EQ(round_trip(binary, Format::binary), binary);
}

TEST_F(Sops, OneFormatIsWrittenAsAnother) {
  const std::string file = encrypted("a: 1\nb:\n    - x\n", Format::yaml);
  const auto json = decrypt(file, Format::yaml, Format::json, {.identities = std::span(&identity_, 1)});
  ASSERT_TRUE(json);
  EXPECT_EQ(json->reveal(), "{\n\t\"a\": 1,\n\t\"b\": [\n\t\t\"x\"\n\t]\n}\n");
  EXPECT_EQ(decrypt(file, Format::yaml, Format::dotenv, {.identities = std::span(&identity_, 1)}).error().code,
            error_codes::unwritable);
}

TEST_F(Sops, EverySelectorChoosesWhatItSays) {
  const std::string text = "a: one\nb_secret: two\nmap:\n    b_secret:\n        c: three\n";
  const auto encrypts = [&](Selector selector) {
    const std::string file = encrypted(text, Format::yaml, selector);
    EXPECT_EQ(opened(file, Format::yaml)->reveal(), text);
    std::string chosen;
    for (const char* value : {"one", "two", "three"}) {
      chosen += file.find(std::string(": ") + value) == std::string::npos ? 'E' : '-';
    }
    return chosen;
  };
  EXPECT_EQ(encrypts({}), "EEE");
  EXPECT_EQ(encrypts({.unencrypted_suffix = "_secret"}), "E--");
  EXPECT_EQ(encrypts({.encrypted_suffix = "_secret"}), "-EE");
  EXPECT_EQ(encrypts({.unencrypted_regex = "^(a|c)$"}), "-E-");
  EXPECT_EQ(encrypts({.encrypted_regex = "^map$"}), "--E");
}

TEST_F(Sops, CommentsChooseWhatStandsBelowThem) {
  const std::string text = "# open\na: one\nb: two\n# open\nmap:\n    c: three\n";
  const std::string plain = encrypted(text, Format::yaml, {.unencrypted_comment_regex = "open"});
  EXPECT_NE(plain.find("a: one"), std::string::npos);
  EXPECT_EQ(plain.find("b: two"), std::string::npos);
  EXPECT_NE(plain.find("c: three"), std::string::npos);
  EXPECT_EQ(opened(plain, Format::yaml)->reveal(), text);
  const std::string sealed = encrypted(text, Format::yaml, {.encrypted_comment_regex = "open"});
  EXPECT_EQ(sealed.find("a: one"), std::string::npos);
  EXPECT_NE(sealed.find("b: two"), std::string::npos);
  EXPECT_EQ(sealed.find("c: three"), std::string::npos);
  EXPECT_NE(sealed.find("# open"), std::string::npos);
  EXPECT_EQ(opened(sealed, Format::yaml)->reveal(), text);
}

TEST_F(Sops, TwoSelectorsAreRefused) {
  EXPECT_FALSE(encrypt("a: 1\n", Format::yaml,
                       {.recipients = std::span(&identity_.recipient(), 1),
                        .selector = {.encrypted_suffix = "a", .encrypted_regex = "b"}}));
}

TEST_F(Sops, WhatIsAddedRemovedMovedOrChangedIsNoticed) {
  const std::string file = encrypted("a: one\nb_unencrypted: two\nc:\n    - x\n    - y\n", Format::yaml);
  ASSERT_EQ(error_code(file, Format::yaml), "it opened");
  EXPECT_EQ(error_code(replaced(file, "b_unencrypted: two", "b_unencrypted: too"), Format::yaml), error_codes::mac);
  EXPECT_EQ(error_code("d_unencrypted: new\n" + file, Format::yaml), error_codes::mac);
  EXPECT_EQ(error_code(replaced(file, "b_unencrypted: two\n", ""), Format::yaml), error_codes::mac);
  EXPECT_EQ(error_code(replaced(file, "a: ENC", "z: ENC"), Format::yaml), error_codes::value);
  EXPECT_EQ(error_code(replaced(file, "a: ENC", "a: EMC"), Format::yaml), error_codes::value);
  EXPECT_EQ(error_code(replaced(file, "mac: ENC", "mac: EMC"), Format::yaml), error_codes::mac);
  EXPECT_EQ(error_code(replaced(file, "2027-01-15T08:00:00Z", "2027-01-15T08:00:01Z"), Format::yaml), error_codes::mac);
  EXPECT_EQ(error_code(replaced(file, "2027-01-15T08:00:00Z", "2027-01-15T08:00:00+00:00"), Format::yaml), "it opened");
  // Two items of a list share their place: only the MAC tells them apart.
  std::vector<std::string> lines;
  std::string swapped = file;
  const std::size_t first = swapped.find("    - ENC");
  const std::size_t second = swapped.find("    - ENC", first + 1);
  const std::size_t end = swapped.find('\n', second) + 1;
  swapped = swapped.substr(0, first) + swapped.substr(second, end - second) + swapped.substr(first, second - first) +
            swapped.substr(end);
  EXPECT_EQ(error_code(swapped, Format::yaml), error_codes::mac);
}

TEST_F(Sops, AMissingMacIsNoMac) {
  const std::string file = encrypted("{\"a\": \"b\"}", Format::json);
  const std::size_t start = file.find("\"mac\": \"") + 8;
  std::string without = file;
  without.erase(start, file.find('"', start) - start);
  EXPECT_EQ(error_code(without, Format::json), error_codes::mac);
  const auto salvaged = decrypt(without, Format::json, {.identities = std::span(&identity_, 1), .ignore_mac = true});
  ASSERT_TRUE(salvaged);
  EXPECT_EQ(salvaged->reveal(), "{\n\t\"a\": \"b\"\n}\n");
}

TEST_F(Sops, AnyFlippedCharacterOfAnEncryptedValueIsRefused) {
  const std::string file = encrypted("{\"k\": \"some value\"}", Format::json);
  const std::size_t start = file.find("ENC[") + 20;  // behind "ENC[AES256_GCM,data:"
  const std::size_t end = file.find(",type:", start);
  for (std::size_t at = start; at < end; ++at) {
    std::string changed = file;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    EXPECT_NE(error_code(changed, Format::json), "it opened") << changed.substr(start, end - start);
  }
}

TEST_F(Sops, MacOnlyEncryptedLeavesPlainValuesFree) {
  const std::string file = encrypted("a: one\nb_unencrypted: two\n", Format::yaml, {}, true);
  EXPECT_EQ(error_code(replaced(file, "b_unencrypted: two", "b_unencrypted: too"), Format::yaml), "it opened");
  EXPECT_EQ(error_code(replaced(file, "mac_only_encrypted: true", "mac_only_encrypted: false"), Format::yaml),
            error_codes::mac);
}

TEST_F(Sops, AnEditKeepsWhatItDidNotTouch) {
  const std::string before = encrypted("a: one\nb: two\nc: 3\n", Format::yaml);
  const auto after = edit(before, "a: one\nb: changed\nc: 3\nd: new\n", Format::yaml,
                          {.identities = std::span(&identity_, 1)}, WallTime(std::chrono::seconds(1'800'000'100)));
  ASSERT_TRUE(after) << after.error().to_string();
  const auto line = [](const std::string& text, std::string_view key) {
    const std::size_t at = text.find(key);
    return text.substr(at, text.find('\n', at) - at);
  };
  EXPECT_EQ(line(before, "a: ENC"), line(*after, "a: ENC"));
  EXPECT_EQ(line(before, "c: ENC"), line(*after, "c: ENC"));
  EXPECT_NE(line(before, "b: ENC"), line(*after, "b: ENC"));
  EXPECT_EQ(line(before, "            YWdl"), line(*after, "            YWdl"));
  EXPECT_EQ(opened(*after, Format::yaml)->reveal(), "a: one\nb: changed\nc: 3\nd: new\n");
}

TEST_F(Sops, KeysAreChangedWithoutTouchingValues) {
  const AgeIdentity second = AgeIdentity::generate();
  const std::string before = encrypted("a: one\n", Format::yaml);
  const std::vector<AgeRecipient> both{identity_.recipient(), second.recipient()};
  const auto update = update_keys(before, Format::yaml, both, {}, {.identities = std::span(&identity_, 1)});
  ASSERT_TRUE(update) << update.error().to_string();
  EXPECT_EQ(update->added, std::vector{second.recipient().to_string()});
  EXPECT_TRUE(update->removed.empty());
  EXPECT_EQ(before.substr(0, before.find('\n')), update->file.substr(0, update->file.find('\n')));
  EXPECT_TRUE(decrypt(update->file, Format::yaml, {.identities = std::span(&second, 1)})->equals("a: one\n"));
  const auto again = update_keys(update->file, Format::yaml, both, {}, {});
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->file.empty());
  EXPECT_EQ(update_keys(before, Format::yaml, both, {}, {}).error().code, error_codes::data_key);
}

TEST_F(Sops, KeysOfOtherServicesAreKeptAndNamed) {
  const std::string pgp =
      "    pgp:\n        - created_at: \"2024-01-01T00:00:00Z\"\n          enc: |-\n"
      "            -----BEGIN PGP MESSAGE-----\n          fp: 85D77543B3D624B63CEA9E6DBC17301B491B3F21\n";
  const std::string file =
      replaced(encrypted("a: one\n", Format::yaml), "    unencrypted_suffix", pgp + "    unencrypted_suffix");
  EXPECT_TRUE(opened(file, Format::yaml));
  const AgeIdentity stranger = AgeIdentity::generate();
  const auto refused = decrypt(file, Format::yaml, {.identities = std::span(&stranger, 1)});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().to_string().find("pgp 85D77543B3D624B63CEA9E6DBC17301B491B3F21"), std::string::npos);
  const auto edited = edit(file, "a: two\n", Format::yaml, {.identities = std::span(&identity_, 1)}, WallTime{});
  ASSERT_TRUE(edited);
  EXPECT_NE(edited->find("-----BEGIN PGP MESSAGE-----"), std::string::npos);
  EXPECT_NE(edited->find("fp: 85D77543B3D624B63CEA9E6DBC17301B491B3F21"), std::string::npos);
}

TEST_F(Sops, PlaintextWithMetadataIsNotEncryptedTwice) {
  const std::string file = encrypted("a: one\n", Format::yaml);
  const auto again = encrypt(file, Format::yaml, {.recipients = std::span(&identity_.recipient(), 1)});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, error_codes::already_encrypted);
  EXPECT_EQ(encrypt("", Format::yaml, {.recipients = std::span(&identity_.recipient(), 1)}).error().code,
            error_codes::empty);
  EXPECT_TRUE(is_encrypted(file, Format::yaml));
  EXPECT_FALSE(is_encrypted("a: one\n", Format::yaml));
}

TEST_F(Sops, OneValueIsExtracted) {
  const std::string file = encrypted("a:\n    b:\n        - x\n        - k: 1\n", Format::yaml);
  const auto at = [&](std::string_view path) {
    const auto value = extract(file, Format::yaml, Format::yaml, path, {.identities = std::span(&identity_, 1)});
    return value ? std::string(value->reveal()) : value.error().code;
  };
  EXPECT_EQ(at(R"(["a"]["b"][0])"), "x");
  EXPECT_EQ(at(R"(["a"]["b"][1])"), "k: 1\n");
  EXPECT_EQ(at(R"(["a"]["b"][2])"), error_codes::path);
  EXPECT_EQ(at(R"(a.b)"), error_codes::path);
}

TEST_F(Sops, AMessageNeverHoldsAValue) {
  std::string file = encrypted("password: hunter2-is-secret\n", Format::yaml);
  file = replaced(file, "password: ENC", "password: XNC");
  const auto refused = opened(file, Format::yaml);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().to_string().find("hunter2"), std::string::npos);
  EXPECT_NE(refused.error().to_string().find("password"), std::string::npos);
}

}  // namespace
}  // namespace opi::secrets::sops
