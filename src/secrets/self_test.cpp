#include "secrets/self_test.hpp"

#include <span>
#include <string>

#include "secrets/age.hpp"
#include "secrets/password.hpp"
#include "secrets/scram.hpp"
#include "secrets/sops.hpp"

namespace opi::secrets {
namespace {

// A key made for this test alone, and two files that the programs age 1.1.1 and SOPS 3.13.1 sealed to it.
constexpr std::string_view known_identity =
    "AGE-SECRET-KEY-15SNRF5Z6NYNWJPRD09GJC0F55SMFFT3UQF5EQNMSN5E3MVFP6WCQP08H7G";

constexpr std::string_view known_age_file = R"(-----BEGIN AGE ENCRYPTED FILE-----
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBZYmxzWVB4Zmx1L1VBenVu
Z3AxWnRrQ1pkaE9MZFBWcW5EaW5DTEozTFNNCmVmYWVMeVZxQjdIS1d1RjRWTENG
a0NRQm1pcHRmbkxHNEVyYTljZXU1Q1EKLS0tIHhzdDFTbTNHa0FXSWNsRG8ycVdR
Z1FBS2cxZEJJb0lDTmwxazlsZk1uTVEKNcBokRze2iLMjwayr6moJhmpU3rcj33a
8ol1lQ83LuvuKnaCmIZUK9FT14wxeQ==
-----END AGE ENCRYPTED FILE-----
)";
constexpr std::string_view known_age_text = "opi self-test\n";

constexpr std::string_view known_sops_file = R"(apiVersion: v1
kind: Secret
metadata:
    name: app
    namespace: prod
    labels:
        app: web
type: Opaque
data:
    password: ENC[AES256_GCM,data:1QqbLsgVUjd0+7lq,iv:MlfFZimJIqsY3D/qixJKowHLq/HHBFctqEOQ5/hgC2U=,tag:RKVROXQdNGrslA3d5OARRw==,type:str]
    user: ENC[AES256_GCM,data:KK6+yP/NNOM=,iv:u1G7AlP4vw55yhENjgofAdtrUggacaPiQqs0hnGNHX0=,tag:dVZK7MiL1M7x/hj3zF+w9g==,type:str]
stringData:
    config.yaml: ENC[AES256_GCM,data:T381hSJFfSXMeK1/,iv:NjIQ7lF+PJwwa9KhDmm8xlcq3UI9Ia7fqCOgxfHmtMA=,tag:3PQwm/riOJMGkCSdKWFqlQ==,type:str]
sops:
    age:
        - enc: |
            -----BEGIN AGE ENCRYPTED FILE-----
            YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBUN2dwc25pdml4dER6UjZh
            M01rekVib3pDSllOa25FSDFBUzhBMVN1S0hrCnVxSTBBTHhSaTdzZ2NoOCtPVUhl
            VWNaSjZDSzAxYVRGdzdmTmNqa0NSS00KLS0tIDNYczc1QnY0dTk0VTVxcXZYMjY4
            SXE4ZGdPbWpxelI5VXZNVWgyVWhLNDAKtt7MaYnXkIR8RbBTZzWXYS80KKTl8oMn
            Rh+LpaD7koirwXcIOW45VhqyiASpfgnpcc7nE6aQrA3ZUVbKpQJL4g==
            -----END AGE ENCRYPTED FILE-----
          recipient: age1tpvrerc99al9t4sdqf0gn795yu72uan4dx2q9nxkv7sgtg3n855qe2mukc
        - enc: |
            -----BEGIN AGE ENCRYPTED FILE-----
            YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBqT0R2TCtub09jRDFaTGN1
            RWVaVGVLS0YrU1krTWhLaGVqUkd1cWN1QUV3Ck9DVmJlRWpxcDVoSHlTQW0yTGd1
            ZGN3U1g3Qi9ob0QzbUlySFBsRG9rQ00KLS0tIFlPdExNWWR3SnhVZmVUa0QxWFdI
            TmZwMWoreng5UjdwamRlTEVSR1FJd0kKOA1g5IynTouSm3lrtiRTkJrLwKuwO+BX
            /BAwd1+uF2GfpH/SflXoOgctLaB2KB8SIxaTGX2ZHiqjctOe1TnlsQ==
            -----END AGE ENCRYPTED FILE-----
          recipient: age1mtx7dklqhj5ljwqajqhu9ht78yn68h7r4pxygyynm4lrmkyqyy2qdzvw4m
    encrypted_regex: ^(data|stringData)$
    lastmodified: "2026-11-23T15:47:24Z"
    mac: ENC[AES256_GCM,data:wQiSPD8sNPvTag+Jgn/9sGRW8ItrNPkCtUPsHCg7Jw+6tGF4jvFJvIYka/erdmNBUmJBOp15QJJCGYVJPc8WzO3tDj4DbSWXC6RwoMxALtNIuVUbBuL2ZwijPjQWJDD+ANg4S6a9meUDFLxYqOJdD+TqSZ8kHNC7KnI/3v3jz2E=,iv:qQuW6EaaSiKaUcWg6i9QwkQv5179c/X2Z2c40BweSsU=,tag:bAW2B8vl3FYWyQ7VqdXRMw==,type:str]
    version: 3.13.1
)";
constexpr std::string_view known_sops_text = R"(apiVersion: v1
kind: Secret
metadata:
    name: app
    namespace: prod
    labels:
        app: web
type: Opaque
data:
    password: cGFzc3dvcmQ=
    user: dXNlcg==
stringData:
    config.yaml: |
        a: 1
        b: two
)";

std::unexpected<Error> failed(std::string what) {
  return failure(Error(ErrorKind::internal, "self-test of the cryptography failed: " + std::move(what))
                     .handled_by(Handling::needs_person));
}

Result<> known_answers(const AgeIdentity& identity) {
  const auto keys = std::span(&identity, 1);
  const auto age = age_decrypt(known_age_file, keys);
  if (!age || !age->equals(known_age_text)) return failed("a known age file does not open");
  const auto sops = sops::decrypt(known_sops_file, sops::Format::yaml, {.identities = keys});
  if (!sops || !sops->equals(known_sops_text)) return failed("a known SOPS file does not open");
  // RFC 7677 §3.
  constexpr std::string_view verifier =
      "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
      "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
  if (!scram_matches(verifier, SecretString("pencil"))) return failed("a known SCRAM verifier does not match");
  return {};
}

Result<> fresh_files(const AgeIdentity& identity) {
  const SecretString secret = generate_key();
  if (secret == generate_key()) return failed("the random generator repeats itself");
  auto sealed = age_encrypt(secret.reveal(), std::span(&identity.recipient(), 1));
  if (!sealed) return failed("sealing with age: " + sealed.error().message);
  const auto keys = std::span(&identity, 1);
  const auto opened = age_decrypt(*sealed, keys);
  if (!opened || !(*opened == secret)) return failed("what age sealed does not open again");
  sealed->back() = static_cast<char>(sealed->back() ^ 1);
  if (age_decrypt(*sealed, keys)) return failed("a damaged age file opens");

  constexpr std::string_view plain = "{\n\t\"a\": \"b\"\n}\n";
  const auto file = sops::encrypt(plain, sops::Format::json, {.recipients = std::span(&identity.recipient(), 1)});
  if (!file) return failed("encrypting with SOPS: " + file.error().message);
  const auto back = sops::decrypt(*file, sops::Format::json, {.identities = keys});
  if (!back || !back->equals(plain)) return failed("what SOPS encrypted does not open again");
  return {};
}

}  // namespace

Result<> self_test() {
  const auto identity = AgeIdentity::parse(known_identity);
  if (!identity) return failed("a known identity cannot be read");
  if (auto known = known_answers(*identity); !known) return known;
  return fresh_files(*identity);
}

}  // namespace opi::secrets
