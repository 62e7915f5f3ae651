// Two programs that share no code with us or with the originals: npm's age-encryption seals what we open and opens what
// we seal, npm's sops-age opens what we encrypt. ./test installs them (tests/secrets/interop, versions locked).
#include <fcntl.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <random>
#include <span>
#include <string>

#include "secrets/age.hpp"
#include "secrets/age_program.hpp"
#include "secrets/base64.hpp"
#include "secrets/sops.hpp"

namespace opi::secrets {
namespace {

namespace json = boost::json;
using testing_support::Folder;

/// One process for all requests of a test.
json::array ask(const json::array& requests) {
  const Folder folder;
  folder.write("requests", json::serialize(requests));
  const std::string script = std::string(OPI_SOURCE_DIR) + "/tests/secrets/interop/run.mjs";
  EXPECT_TRUE(std::filesystem::exists(std::string(OPI_SOURCE_DIR) + "/tests/secrets/interop/node_modules/sops-age"))
      << "run ./test, or: npm ci --prefix tests/secrets/interop";
  EXPECT_EQ(testing_support::run({"node", script}, folder.file("requests"), folder.file("answers")), 0);
  const json::value answers = json::parse(folder.read("answers"));
  return answers.as_array();
}

std::string bytes_of(const json::value& answer) {
  const auto* error = answer.as_object().if_contains("error");
  EXPECT_EQ(error, nullptr) << (error != nullptr ? std::string(error->as_string()) : "");
  return error != nullptr ? std::string{} : base64_decode(std::string_view(answer.at("ok").as_string())).value();
}

std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>((i * 137 + i / 253) & 0xffU);
  return bytes;
}

/// Around the boundaries of armor's lines and of chunks: the fixed ones, and others in every run.
const std::vector<std::size_t>& sizes() {
  static const auto all = [] {
    std::vector<std::size_t> some{0, 1, 47, 48, 49, 65535, 65536, 65537, 131071, 131072, 131073, 200'003};
    std::random_device random;
    for (const std::size_t boundary : {48U, 65536U, 131072U, 196608U})
      some.push_back(boundary - 40 + std::uniform_int_distribution<std::size_t>(0, 80)(random));
    return some;
  }();
  return all;
}

TEST(NpmAge, OpensWhatWeSeal) {
  const AgeIdentity identity = AgeIdentity::generate();
  const AgeIdentity other = AgeIdentity::generate();
  const std::vector<AgeRecipient> recipients{other.recipient(), identity.recipient()};
  json::array requests;
  for (const std::size_t size : sizes()) {
    for (const bool armor : {false, true}) {
      const std::string sealed = age_encrypt(pattern(size), recipients).value();
      requests.push_back({{"operation", "age_decrypt"},
                          {"file", base64_encode(armor ? age_armor(sealed) : sealed)},
                          {"identity", identity.to_secret().reveal()},
                          {"armor", armor}});
    }
  }
  const json::array answers = ask(requests);
  for (std::size_t i = 0; i < answers.size(); ++i)
    EXPECT_TRUE(bytes_of(answers[i]) == pattern(sizes()[i / 2])) << sizes()[i / 2];
}

TEST(NpmAge, SealsWhatWeOpen) {
  const AgeIdentity identity = AgeIdentity::generate();
  json::array requests;
  for (const std::size_t size : sizes()) {
    for (const bool armor : {false, true}) {
      requests.push_back(
          {{"operation", "age_encrypt"},
           {"plaintext", base64_encode(pattern(size))},
           {"recipients", {AgeIdentity::generate().recipient().to_string(), identity.recipient().to_string()}},
           {"armor", armor}});
    }
  }
  const json::array answers = ask(requests);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto opened = age_decrypt(bytes_of(answers[i]), std::span(&identity, 1));
    ASSERT_TRUE(opened) << opened.error().to_string();
    EXPECT_TRUE(opened->equals(pattern(sizes()[i / 2]))) << sizes()[i / 2];
  }
}

TEST(NpmAge, UnderstandsOurPassphrasesAndWeItsOwn) {
  const SecretString passphrase("correct horse battery staple");
  const std::string ours = age_encrypt_with_passphrase("from us", passphrase, 10).value();
  const json::array answers = ask(
      {{{"operation", "age_decrypt"}, {"file", base64_encode(ours)}, {"passphrase", passphrase.reveal()}},
       {{"operation", "age_encrypt"}, {"plaintext", base64_encode("from them")}, {"passphrase", passphrase.reveal()}}});
  EXPECT_EQ(bytes_of(answers.at(0)), "from us");
  const auto theirs = age_decrypt_with_passphrase(bytes_of(answers.at(1)), passphrase);
  ASSERT_TRUE(theirs) << theirs.error().to_string();
  EXPECT_TRUE(theirs->equals("from them"));
}

TEST(NpmSops, OpensWhatWeEncrypt) {
  const AgeIdentity identity = AgeIdentity::generate();
  const auto encrypted = [&](std::string_view text, sops::Format format, sops::Selector selector = {}) {
    return sops::encrypt(text, format,
                         {.recipients = std::span(&identity.recipient(), 1), .selector = std::move(selector)})
        .value();
  };
  const auto request = [&](const std::string& file, const char* type) {
    return json::value{{"operation", "sops_decrypt"},
                       {"file", base64_encode(file)},
                       {"type", type},
                       {"identity", identity.to_secret().reveal()}};
  };
  const std::string yaml =
      "# top\na: text # behind\nnumber: 42\nyes: true\npi: 3.5\nnested: # of it\n  list: [one, two]\n  # inside\n"
      "  h\xC3\xA9: \xF0\x9F\x94\x91\n";
  // What is easily read as something else. (It holds no times and no numbers beyond those of JavaScript.)
  const std::string odd =
      "# everywhere\nzero: 0\nnegative: -7\nlarge: 9007199254740991\nsmall: 2.5e-7\nhuge: 1e+21\nnone: null\nempty: "
      "''\n"
      "list: []\nmap: {}\nno: false\ndate: '2020-01-02'\nshared: &it # anchor\n  k: v\nagain: *it\nsigns: "
      "\"\\u202Ea\\u200D\\0e\\u0301\"\n"
      "text: |\n  one\n\n  # no comment\n# end\n";
  const json::array answers =
      ask({request(encrypted(yaml, sops::Format::yaml), "yaml"),
           request(encrypted(yaml, sops::Format::yaml, {.encrypted_regex = "^nested$"}), "yaml"),
           request(encrypted(R"({"a": "text", "b": {"c": [1, true, null, "x"]}})", sops::Format::json), "json"),
           request(encrypted("A=one\nB=two words\nC=a=b\n", sops::Format::dotenv), "env"),
           request(encrypted(odd, sops::Format::yaml), "yaml")});
  for (const std::size_t i : {0U, 1U}) {
    const json::object& opened = answers.at(i).at("ok").as_object();
    EXPECT_EQ(opened.at("a"), "text");
    EXPECT_EQ(opened.at("number").to_number<int>(), 42);
    EXPECT_EQ(opened.at("yes"), true);
    EXPECT_EQ(opened.at("pi").to_number<double>(), 3.5);
    EXPECT_EQ(opened.at("nested").at("list"), (json::array{"one", "two"}));
    EXPECT_EQ(opened.at("nested").at("h\xC3\xA9"), "\xF0\x9F\x94\x91");
  }
  EXPECT_EQ(json::serialize(answers.at(2).at("ok")), R"({"a":"text","b":{"c":[1,true,null,"x"]}})");
  EXPECT_EQ(answers.at(3).at("ok").at("B"), "two words");
  EXPECT_EQ(json::serialize(answers.at(4).at("ok")),
            R"({"zero":0,"negative":-7,"large":9007199254740991,"small":2.5E-7,"huge":1E21,"none":null,"empty":"",)"
            R"("list":[],"map":{},"no":false,"date":"2020-01-02","shared":{"k":"v"},"again":{"k":"v"},)"
            "\"signs\":\"\xE2\x80\xAE"
            "a\xE2\x80\x8D\\u0000e\xCC\x81\","
            R"("text":"one\n\n# no comment\n"})");
}

}  // namespace
}  // namespace opi::secrets
