#pragma once
/// @file
/// The metadata of a SOPS file: what its `sops` entry says, nested or flattened.

#include <string>
#include <vector>

#include "base/result.hpp"
#include "secrets/sops.hpp"
#include "secrets/sops_tree.hpp"

namespace opi::secrets::sops {

struct AgeEntry {
  std::string recipient;  ///< a label: every identity is tried
  std::string sealed;     ///< armored age file of the data key, or of this group's share of it
};

/// Keys of which each one alone opens the group's part of the data key.
struct KeyGroup {
  std::vector<AgeEntry> age = {};
  std::vector<Item> foreign = {};  ///< "pgp": […], "kms": […] as they were read, never empty lists
};

struct Metadata {
  std::vector<KeyGroup> groups = {};
  int shamir_threshold = 0;
  std::string last_modified = {};  ///< as it stands in the file
  std::string mac = {};            ///< encrypted
  Selector selector = {};
  bool mac_only_encrypted = false;
  std::string version = {};

  /// `last_modified` as it is authenticated with the MAC: RFC 3339 to the second.
  std::string authenticated_time() const;
};

/// Reads the map of the `sops` entry. Errors: invalid (no time, no version, more than one selector, no keys).
Result<Metadata> read_metadata(const Value& map);
/// The map, keys sorted by name, empty ones left out.
Value write_metadata(const Metadata& metadata);

/// "pgp 85D7…", "kms arn:…" for each key of another service.
std::vector<std::string> foreign_keys(const KeyGroup& group);
/// The name of one key of `service`, as foreign_keys gives it.
std::string foreign_key_name(const std::string& service, const Value& key);

/// Nested maps and lists as one level: "age__list_0__map_enc". Each key gets `prefix`; "\n" in strings is escaped on
/// request.
Value flatten_metadata(const Value& map, const std::string& prefix, bool escape_newlines);
/// The reverse. Errors: invalid (a gap in a list, a value that is also a map).
Result<Value> unflatten_metadata(const Value& flat, bool unescape_newlines);

}  // namespace opi::secrets::sops
