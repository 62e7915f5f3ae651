#pragma once
/// @file
/// The creation rules of a `.sops.yaml`: to whom a new file is encrypted, and which of its values.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "secrets/age.hpp"
#include "secrets/sops.hpp"

namespace opi::secrets::sops {

/// What one rule says.
struct CreationRule {
  std::vector<AgeRecipient> recipients = {};
  std::vector<std::string> foreign = {};  ///< keys of other services, named as KeyList names them
  Selector selector = {};
  bool mac_only_encrypted = false;
};

struct Rules {
  std::optional<CreationRule> creation = {};  ///< none: the file has no creation rules
  Layout layout = {};
};

/// The first rule of `config` that matches `path`, which is relative to the folder of the configuration file (or
/// absolute, when it is outside of it). `name` names the configuration file in errors.
/// Errors: invalid (with the place; no rule matches; a malformed rule), unsupported (several key groups, key types).
Result<Rules> rules_for(std::string_view config, std::string name, std::string_view path);

/// "age1…, age1…": separated by commas, white space around them ignored. Errors: invalid, unsupported.
Result<std::vector<AgeRecipient>> read_recipients(std::string_view list);

}  // namespace opi::secrets::sops
