#include "project/naming.hpp"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

namespace opi::project {
namespace {

/// NAMEDATALEN - 1 of PostgreSQL.
constexpr std::size_t identifier_bytes_max = 63;
/// "_v999", the longest ending that is put behind a base name.
constexpr std::size_t ending_bytes_max = 5;
constexpr std::size_t base_bytes_max = identifier_bytes_max - ending_bytes_max;
constexpr std::size_t hash_digits = 8;

constexpr std::array<std::string_view, 3> endings{"__a", "__b", "_ro"};

char lower_case(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string hash_of(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::string hex;
  for (std::size_t i = 0; i < hash_digits / 2; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

/// What `name` would be derived from: the name before a known ending, or "".
std::string_view underived(std::string_view name) {
  for (const std::string_view ending : endings) {
    if (name.size() > ending.size() && name.ends_with(ending)) return name.substr(0, name.size() - ending.size());
  }
  const std::size_t last = name.find_last_not_of("0123456789");
  if (last == name.npos || last + 1 == name.size() || last < 2) return {};
  return name[last] == 'v' && name[last - 1] == '_' ? name.substr(0, last - 1) : std::string_view{};
}

std::string owner_of(const NameClaim& claim) {
  return fmt::format("{}/{}", claim.project, claim.deployment);
}

}  // namespace

DatabaseNames database_names(std::string_view project, std::string_view deployment) {
  std::string base = fmt::format("{}_{}", project, deployment);
  for (char& c : base) c = c == '-' ? '_' : lower_case(c);
  if (base.size() > base_bytes_max) {
    const std::string hash = hash_of(base);
    base.resize(base_bytes_max - hash_digits - 1);
    base += '_';
    base += hash;
  }
  return {.base = base, .login_a = base + "__a", .login_b = base + "__b", .read_only = base + "_ro"};
}

Result<std::string> extra_schema_name(std::string_view base, std::string_view postfix) {
  std::string name = fmt::format("{}_{}", base, postfix);
  if (name.size() <= identifier_bytes_max) return name;
  return failure(ErrorKind::invalid, fmt::format("the schema {} has {} bytes; PostgreSQL takes {}", name, name.size(),
                                                 identifier_bytes_max));
}

Result<std::string> namespace_name(std::string_view prefix, std::string_view name) {
  std::string whole = fmt::format("{}{}", prefix, name);
  const bool characters =
      std::ranges::all_of(whole, [](char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-'; });
  if (whole.empty() || name.empty() || !characters || whole.front() == '-' || whole.back() == '-') {
    return failure(ErrorKind::invalid,
                   fmt::format("\"{}\" is not a namespace: lower-case letters, digits and dashes, with "
                               "no dash first or last",
                               whole));
  }
  if (whole.size() <= identifier_bytes_max) return whole;
  return failure(ErrorKind::invalid, fmt::format("the namespace \"{}\" has {} characters; Kubernetes takes {}", whole,
                                                 whole.size(), identifier_bytes_max));
}

bool is_derived_name(std::string_view base, std::string_view name) {
  return !base.empty() && underived(name) == base;
}

std::vector<Error> colliding_names(std::span<const NameClaim> claims) {
  std::vector<Error> errors;
  std::map<std::pair<std::string_view, std::string_view>, const NameClaim*> bases;
  const auto refuse = [&](const NameClaim& claim, const NameClaim& other, std::string_view what) {
    Error error(ErrorKind::conflict, fmt::format("the database name \"{}\" of {} {} {}", claim.base, owner_of(claim),
                                                 what, owner_of(other)));
    if (other.place.known()) error.causes.push_back(fmt::format("declared at {}", other.place.to_string()));
    errors.push_back(std::move(error).at(claim.place).with_remedy("rename one of the two deployments"));
  };
  for (const NameClaim& claim : claims) {
    const auto [spot, first] = bases.try_emplace({claim.server, claim.base}, &claim);
    if (!first) refuse(claim, *spot->second, "is also that of");
  }
  for (const NameClaim& claim : claims) {
    const std::string_view from = underived(claim.base);
    const auto other = from.empty() ? bases.end() : bases.find({claim.server, from});
    if (other != bases.end()) refuse(claim, *other->second, "is a name that is made from that of");
  }
  return errors;
}

}  // namespace opi::project
