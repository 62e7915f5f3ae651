#include "secrets/sops_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "secrets/sops_selector.hpp"
#include "yaml/parse.hpp"

namespace opi::secrets::sops {
namespace {

using yaml::Node;

std::unexpected<Error> refuse(const Node& node, std::string reason, ErrorKind kind = ErrorKind::invalid) {
  return failure(Error(kind, std::move(reason)).at(node.place()));
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

/// A string, or the text of a number or word; empty when the key is not there.
Result<std::string> text_of(const Node& rule, std::string_view key) {
  const Node* node = rule.find(key);
  if (node == nullptr || node->is_null()) return std::string{};
  if (!node->is_scalar()) return refuse(*node, fmt::format("{} is a string", key));
  return node->value;
}

/// A comma-separated string, or a list of strings.
Result<std::vector<std::string>> texts_of(const Node& rule, std::string_view key) {
  std::vector<std::string> texts;
  const Node* node = rule.find(key);
  if (node == nullptr || node->is_null()) return texts;
  const auto split = [&texts](std::string_view list) {
    while (!list.empty()) {
      const std::size_t comma = list.find(',');
      const std::string_view one = trim(list.substr(0, comma));
      if (!one.empty()) texts.emplace_back(one);
      list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    }
  };
  if (node->is_mapping()) return refuse(*node, fmt::format("{} is a string or a list", key));
  if (node->is_scalar()) split(node->value);
  for (const Node& item : node->items) {
    if (!item.is_scalar()) return refuse(item, fmt::format("{} holds strings", key));
    split(item.value);
  }
  return texts;
}

Result<> add_recipients(const Node& rule, CreationRule& into) {
  const auto texts = texts_of(rule, "age");
  if (!texts) return failure(texts.error());
  for (const std::string& text : *texts) {
    auto recipient = AgeRecipient::parse(text);
    if (!recipient) return failure(std::move(recipient.error()).at(rule.find("age")->place()));
    if (std::ranges::find(into.recipients, *recipient) == into.recipients.end()) into.recipients.push_back(*recipient);
  }
  return {};
}

Result<> add_foreign(const Node& rule, std::string_view key, std::string_view service, CreationRule& into) {
  const auto texts = texts_of(rule, key);
  if (!texts) return failure(texts.error());
  for (const std::string& text : *texts) into.foreign.push_back(fmt::format("{} {}", service, text));
  return {};
}

/// Lists of maps, as key groups write them.
void add_foreign_maps(const Node& group, std::string_view key, std::string_view service, std::string_view field,
                      CreationRule& into) {
  const Node* list = group.find(key);
  if (list == nullptr) return;
  for (const Node& item : list->items) {
    const Node* name = item.find(field);
    into.foreign.push_back(fmt::format("{} {}", service, name != nullptr ? name->value : item.value));
  }
}

Result<> add_group(const Node& group, CreationRule& into, int depth) {
  if (depth > 10) return refuse(group, "merge is nested too deeply");
  if (const Node* merged = group.find("merge")) {
    for (const Node& inner : merged->items) {
      if (auto added = add_group(inner, into, depth + 1); !added) return added;
    }
  }
  if (auto added = add_recipients(group, into); !added) return added;
  for (const auto& [key, service] : {std::pair{"pgp", "pgp"}, std::pair{"hc_vault", "hc_vault"}}) {
    if (auto added = add_foreign(group, key, service, into); !added) return added;
  }
  add_foreign_maps(group, "kms", "kms", "arn", into);
  add_foreign_maps(group, "gcp_kms", "gcp_kms", "resource_id", into);
  add_foreign_maps(group, "hckms", "hckms", "key_id", into);
  if (const Node* azure = group.find("azure_keyvault")) {
    for (const Node& item : azure->items) {
      const auto field = [&item](std::string_view key) {
        const Node* node = item.find(key);
        return node == nullptr ? std::string{} : node->value;
      };
      into.foreign.push_back(fmt::format("azure_kv {}/keys/{}/{}", field("vaultUrl"), field("key"), field("version")));
    }
  }
  return {};
}

Result<> read_keys(const Node& rule, CreationRule& into) {
  const Node* groups = rule.find("key_groups");
  if (groups != nullptr && !groups->items.empty()) {
    if (groups->items.size() > 1) {
      return refuse(*groups, "several key groups (Shamir) are opened but never created", ErrorKind::unsupported);
    }
    return add_group(groups->items.front(), into, 0);
  }
  if (auto added = add_recipients(rule, into); !added) return added;
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> services{
      {{"pgp", "pgp"},
       {"kms", "kms"},
       {"gcp_kms", "gcp_kms"},
       {"hckms", "hckms"},
       {"azure_keyvault", "azure_kv"},
       {"hc_vault_transit_uri", "hc_vault"}}};
  for (const auto& [key, service] : services) {
    if (auto added = add_foreign(rule, key, service, into); !added) return added;
  }
  return {};
}

Result<> read_selector(const Node& rule, Selector& selector) {
  const std::array<std::pair<const char*, std::string*>, 6> fields{
      {{"unencrypted_suffix", &selector.unencrypted_suffix},
       {"encrypted_suffix", &selector.encrypted_suffix},
       {"unencrypted_regex", &selector.unencrypted_regex},
       {"encrypted_regex", &selector.encrypted_regex},
       {"unencrypted_comment_regex", &selector.unencrypted_comment_regex},
       {"encrypted_comment_regex", &selector.encrypted_comment_regex}}};
  for (const auto& [key, into] : fields) {
    auto text = text_of(rule, key);
    if (!text) return failure(std::move(text.error()));
    *into = std::move(*text);
  }
  const auto chooser = Chooser::create(selector);
  if (!chooser) return failure(Error(chooser.error()).at(rule.place()));
  return {};
}

Result<CreationRule> read_rule(const Node& rule) {
  CreationRule read;
  if (auto keys = read_keys(rule, read); !keys) return failure(std::move(keys.error()));
  if (auto selector = read_selector(rule, read.selector); !selector) return failure(std::move(selector.error()));
  if (const Node* node = rule.find("mac_only_encrypted"); node != nullptr && !node->is_null()) {
    const auto boolean = node->as_boolean();
    if (!boolean) return refuse(*node, "mac_only_encrypted is true or false");
    read.mac_only_encrypted = *boolean;
  }
  return read;
}

Result<bool> matches(const Node& rule, std::string_view path) {
  const auto pattern = text_of(rule, "path_regex");
  if (!pattern) return failure(pattern.error());
  if (pattern->empty()) return true;
  const auto regex = Regex::compile(*pattern);
  if (!regex) return failure(Error(regex.error()).at(rule.find("path_regex")->place()));
  return regex->found_in(path);
}

Result<int> indent_of(const Node& root, std::string_view format, int standard) {
  const Node* stores = root.find("stores");
  const Node* store = stores == nullptr ? nullptr : stores->find(format);
  const Node* indent = store == nullptr ? nullptr : store->find("indent");
  if (indent == nullptr || indent->is_null()) return standard;
  const auto number = indent->as_integer();
  if (!number || *number < -1 || *number > 64) return refuse(*indent, "an indent is a number of spaces");
  return static_cast<int>(*number);
}

}  // namespace

Result<std::vector<AgeRecipient>> read_recipients(std::string_view list) {
  std::vector<AgeRecipient> recipients;
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    const std::string_view one = trim(list.substr(0, comma));
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    if (one.empty()) continue;
    auto recipient = AgeRecipient::parse(one);
    if (!recipient) return failure(std::move(recipient.error()));
    recipients.push_back(*recipient);
  }
  return recipients;
}

Result<Rules> rules_for(std::string_view config, std::string name, std::string_view path) {
  const auto document = yaml::parse(config, std::move(name));
  if (!document) return failure(document.error());
  const Node& root = document->root;
  Rules rules;
  const auto yaml_indent = indent_of(root, "yaml", 4);
  const auto json_indent = indent_of(root, "json", -1);
  if (!yaml_indent || !json_indent) return failure((!yaml_indent ? yaml_indent : json_indent).error());
  rules.layout = {.yaml_indent = *yaml_indent == 0 ? 4 : *yaml_indent, .json_indent = *json_indent};
  if (rules.layout.yaml_indent < 0) return refuse(root, "the indent of YAML is not negative");
  const Node* list = root.find("creation_rules");
  if (list == nullptr || list->is_null()) return rules;
  if (!list->is_sequence()) return refuse(*list, "creation_rules is a list");
  for (const Node& rule : list->items) {
    if (!rule.is_mapping()) return refuse(rule, "a creation rule is a mapping");
    const auto match = matches(rule, path);
    if (!match) return failure(match.error());
    if (!*match) continue;
    auto read = read_rule(rule);
    if (!read) return failure(std::move(read.error()));
    rules.creation = std::move(*read);
    return rules;
  }
  return refuse(*list, fmt::format("none of the creation rules matches {}", path));
}

}  // namespace opi::secrets::sops
