#include "secrets/sops_metadata.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "secrets/sops_numbers.hpp"

namespace opi::secrets::sops {
namespace {

constexpr std::size_t groups_max = 255;  // a share's number is one byte
constexpr std::size_t entries_max = 1'000;
constexpr std::array<std::string_view, 6> foreign_services{"azure_kv", "gcp_kms", "hc_vault", "hckms", "kms", "pgp"};

std::unexpected<Error> refuse(std::string reason) {
  return failure(
      Error(ErrorKind::invalid, "sops metadata: " + std::move(reason)).with_code(std::string(error_codes::unreadable)));
}

std::string text_of(const Value* value) {
  return value == nullptr || value->is(Kind::list) || value->is(Kind::map) ? std::string{} : value->bytes();
}

Result<bool> boolean_of(const Value* value) {
  if (value == nullptr || value->is(Kind::null)) return false;
  if (value->is(Kind::boolean)) return value->boolean;
  if (value->is(Kind::integer)) return value->integer != 0;
  const std::string text = text_of(value);
  if (text.empty()) return false;
  const auto read = read_boolean(text);
  if (!read) return refuse("mac_only_encrypted is no boolean");
  return *read;
}

Result<int> threshold_of(const Value* value) {
  const std::string text = text_of(value);
  if (text.empty()) return 0;
  const auto read = read_integer(text);
  if (!read || *read < 0 || *read > static_cast<std::int64_t>(groups_max))
    return refuse("shamir_threshold is no number");
  return static_cast<int>(*read);
}

/// Numbers without leading zeros, three of them; what stands behind "-" or "+" is not looked at.
bool is_version(std::string_view text) {
  text = text.substr(0, text.find_first_of("-+"));
  for (int part = 0; part < 3; ++part) {
    const std::string_view number = text.substr(0, text.find('.'));
    if (number.empty() || number.size() > 9 || (number.size() > 1 && number[0] == '0')) return false;
    if (!std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; })) return false;
    text.remove_prefix(number.size());
    if (part < 2) {
      if (!text.starts_with('.')) return false;
      text.remove_prefix(1);
    }
  }
  return text.empty();
}

Result<KeyGroup> read_group(const Value& map) {
  KeyGroup group;
  if (const Value* age = map.find("age")) {
    if (age->list.size() > entries_max) return refuse("more than 1000 age keys");
    for (const Value& entry : age->list) {
      if (!entry.is(Kind::map)) continue;
      group.age.push_back({.recipient = text_of(entry.find("recipient")), .sealed = text_of(entry.find("enc"))});
    }
  }
  for (const std::string_view service : foreign_services) {
    const Value* keys = map.find(service);
    if (keys != nullptr && !keys->list.empty()) group.foreign.push_back({std::string(service), keys->copy()});
  }
  return group;
}

bool empty(const KeyGroup& group) {
  return group.age.empty() && group.foreign.empty();
}

Value write_age(const std::vector<AgeEntry>& entries) {
  Value list = Value::of_kind(Kind::list);
  for (const AgeEntry& entry : entries) {
    Value map = Value::of_kind(Kind::map);
    append(map, "enc", Value::of_string(entry.sealed));
    append(map, "recipient", Value::of_string(entry.recipient));
    list.list.push_back(std::move(map));
  }
  return list;
}

void write_group(const KeyGroup& group, Value& into) {
  if (!group.age.empty()) append(into, "age", write_age(group.age));
  for (const Item& keys : group.foreign) append(into, keys.key, keys.value.copy());
}

void sort_by_key(Value& map) {
  std::ranges::sort(map.map, {}, &Item::key);
}

}  // namespace

std::string Metadata::authenticated_time() const {
  return read_time(last_modified, true).value_or("");
}

Result<Metadata> read_metadata(const Value& map) {
  Metadata metadata;
  metadata.last_modified = text_of(map.find("lastmodified"));
  if (!read_time(metadata.last_modified)) return refuse("lastmodified is no time in RFC 3339");
  metadata.mac = text_of(map.find("mac"));
  metadata.version = text_of(map.find("version"));
  if (!is_version(metadata.version)) return refuse("version is not of the form 1.2.3");
  metadata.selector = {.unencrypted_suffix = text_of(map.find("unencrypted_suffix")),
                       .encrypted_suffix = text_of(map.find("encrypted_suffix")),
                       .unencrypted_regex = text_of(map.find("unencrypted_regex")),
                       .encrypted_regex = text_of(map.find("encrypted_regex")),
                       .unencrypted_comment_regex = text_of(map.find("unencrypted_comment_regex")),
                       .encrypted_comment_regex = text_of(map.find("encrypted_comment_regex"))};
  const auto only_encrypted = boolean_of(map.find("mac_only_encrypted"));
  if (!only_encrypted) return failure(only_encrypted.error());
  metadata.mac_only_encrypted = *only_encrypted;
  const auto threshold = threshold_of(map.find("shamir_threshold"));
  if (!threshold) return failure(threshold.error());
  metadata.shamir_threshold = *threshold;

  auto flat = read_group(map);
  if (!flat) return failure(std::move(flat.error()));
  if (!empty(*flat)) {
    metadata.groups.push_back(std::move(*flat));
    return metadata;
  }
  const Value* groups = map.find("key_groups");
  if (groups == nullptr || groups->list.empty()) return refuse("it names no keys");
  if (groups->list.size() > groups_max) return refuse("more than 255 key groups");
  for (const Value& entry : groups->list) {
    auto group = read_group(entry);
    if (!group) return failure(std::move(group.error()));
    metadata.groups.push_back(std::move(*group));
  }
  return metadata;
}

Value write_metadata(const Metadata& metadata) {
  Value map = Value::of_kind(Kind::map);
  const auto text = [&map](const char* key, const std::string& value) {
    if (!value.empty()) append(map, key, Value::of_string(value));
  };
  if (metadata.groups.size() == 1) {
    write_group(metadata.groups.front(), map);
  } else {
    Value groups = Value::of_kind(Kind::list);
    for (const KeyGroup& group : metadata.groups) {
      Value one = Value::of_kind(Kind::map);
      write_group(group, one);
      sort_by_key(one);
      groups.list.push_back(std::move(one));
    }
    append(map, "key_groups", std::move(groups));
  }
  if (metadata.shamir_threshold != 0) {
    append(map, "shamir_threshold", Value::of_integer(metadata.shamir_threshold));
  }
  append(map, "lastmodified", Value::of_string(metadata.last_modified));
  append(map, "mac", Value::of_string(metadata.mac));
  text("unencrypted_suffix", metadata.selector.unencrypted_suffix);
  text("encrypted_suffix", metadata.selector.encrypted_suffix);
  text("unencrypted_regex", metadata.selector.unencrypted_regex);
  text("encrypted_regex", metadata.selector.encrypted_regex);
  text("unencrypted_comment_regex", metadata.selector.unencrypted_comment_regex);
  text("encrypted_comment_regex", metadata.selector.encrypted_comment_regex);
  if (metadata.mac_only_encrypted) append(map, "mac_only_encrypted", Value::of_boolean(true));
  append(map, "version", Value::of_string(metadata.version));
  sort_by_key(map);
  return map;
}

std::string foreign_key_name(const std::string& service, const Value& key) {
  const auto field = [&key](std::string_view name) { return text_of(key.find(name)); };
  if (service == "pgp") return "pgp " + field("fp");
  if (service == "kms") return "kms " + field("arn");
  if (service == "gcp_kms") return "gcp_kms " + field("resource_id");
  if (service == "hckms") return "hckms " + field("key_id");
  if (service == "azure_kv") {
    return "azure_kv " + field("vault_url") + "/keys/" + field("name") + "/" + field("version");
  }
  return "hc_vault " + field("vault_address") + "/v1/" + field("engine_path") + "/keys/" + field("key_name");
}

std::vector<std::string> foreign_keys(const KeyGroup& group) {
  std::vector<std::string> names;
  for (const Item& service : group.foreign) {
    for (const Value& key : service.value.list) names.push_back(foreign_key_name(service.key, key));
  }
  return names;
}

}  // namespace opi::secrets::sops
