#include "secrets/sops_data_key.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "secrets/shamir.hpp"

namespace opi::secrets::sops {
namespace {

std::unexpected<Error> no_key(std::string what) {
  return failure(Error(ErrorKind::denied, std::move(what)).with_code(std::string(error_codes::data_key)));
}

/// The group's part of the data key, by the first entry that one of the identities opens.
Result<SecretString> open_group(const KeyGroup& group, std::span<const AgeIdentity> identities) {
  std::string damaged;
  for (const AgeEntry& entry : group.age) {
    auto opened = age_decrypt(entry.sealed, identities);
    if (opened) return opened;
    if (opened.error().kind == ErrorKind::invalid && damaged.empty()) damaged = opened.error().message;
  }
  if (!damaged.empty()) return no_key("a sealed data key is damaged: " + damaged);
  return no_key("none of the age identities at hand opens it");
}

Error explain(const Metadata& metadata, Error error, bool have_identities) {
  std::vector<std::string> recipients;
  std::vector<std::string> foreign;
  for (const KeyGroup& group : metadata.groups) {
    for (const AgeEntry& entry : group.age) recipients.push_back(entry.recipient);
    std::ranges::copy(foreign_keys(group), std::back_inserter(foreign));
  }
  error.causes.push_back(recipients.empty() ? "it is sealed to no age key"
                                            : fmt::format("it is sealed to {}", fmt::join(recipients, ", ")));
  if (!foreign.empty()) {
    error.causes.push_back(fmt::format("also to {}, of services that are not supported", fmt::join(foreign, ", ")));
  }
  if (!have_identities) error.causes.emplace_back("there is no age identity at hand");
  return error;
}

}  // namespace

Result<std::vector<AgeEntry>> seal_data_key(const SecretString& data_key, std::span<const AgeRecipient> recipients) {
  if (recipients.empty()) {
    return failure(
        Error(ErrorKind::invalid, "no age recipient to encrypt to").with_code(std::string(error_codes::encrypting)));
  }
  std::vector<AgeEntry> entries;
  for (const AgeRecipient& recipient : recipients) {
    std::string name = recipient.to_string();
    if (std::ranges::any_of(entries, [&](const AgeEntry& entry) { return entry.recipient == name; })) continue;
    const auto sealed = age_encrypt(data_key.reveal(), std::span(&recipient, 1));
    if (!sealed) return failure(sealed.error());
    entries.push_back({.recipient = std::move(name), .sealed = age_armor(*sealed)});
  }
  return entries;
}

Result<SecretString> open_data_key(const Metadata& metadata, std::span<const AgeIdentity> identities) {
  std::vector<SecretString> parts;
  std::string first_problem;
  for (const KeyGroup& group : metadata.groups) {
    auto part = open_group(group, identities);
    if (part) {
      parts.push_back(std::move(*part));
    } else if (first_problem.empty()) {
      first_problem = part.error().message;
    }
  }
  const std::size_t groups = metadata.groups.size();
  const auto threshold = static_cast<std::size_t>(metadata.shamir_threshold);
  const std::size_t needed = groups == 1 ? 1 : std::max<std::size_t>(2, threshold == 0 ? groups : threshold);
  if (parts.size() < needed) {
    std::string what = "the data key cannot be opened: " + first_problem;
    if (groups > 1) {
      what = fmt::format("the data key cannot be opened: {} of {} key groups are needed, {} could be opened", needed,
                         groups, parts.size());
    }
    return failure(explain(metadata, no_key(std::move(what)).error(), !identities.empty()));
  }
  auto key = groups == 1 ? Result<SecretString>(std::move(parts.front())) : combine_shares(parts);
  if (!key) return no_key(key.error().message);
  if (key->size() != data_key_bytes) return no_key("the data key is not 32 bytes long");
  return key;
}

}  // namespace opi::secrets::sops
