#include "cli/sops_run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <iostream>

#include "cli/files.hpp"

namespace opi::cli {
namespace {

namespace fs = std::filesystem;
namespace codes = secrets::sops::error_codes;

constexpr int folders_up_max = 100;

int exit_code_of(std::string_view code, int otherwise) {
  constexpr std::array<std::pair<std::string_view, int>, 8> exit_codes{
      {{codes::unwritable, sops_exit::cannot_dump},
       {codes::encrypting, sops_exit::cannot_encrypt},
       {codes::value, sops_exit::cannot_decrypt},
       {codes::mac, sops_exit::mac_mismatch},
       {codes::data_key, sops_exit::no_data_key},
       {codes::already_encrypted, sops_exit::already_encrypted},
       {codes::empty, sops_exit::empty},
       {codes::path, sops_exit::bad_path}}};
  for (const auto& [name, number] : exit_codes) {
    if (name == code) return number;
  }
  return otherwise;
}

std::string variable(const app::Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string{} : found->second;
}

/// The configuration file that counts; empty without one.
std::string find_config(const SopsArguments& arguments, const app::Environment& environment) {
  if (!arguments.config.empty()) return arguments.config;
  if (auto named = variable(environment, "SOPS_CONFIG"); !named.empty()) return named;
  std::error_code ignored;
  fs::path folder = fs::current_path(ignored);
  for (int i = 0; i < folders_up_max && !folder.empty(); ++i) {
    const fs::path file = folder / ".sops.yaml";
    if (fs::exists(file, ignored)) return file.string();
    if (fs::exists(folder / ".sops.yml", ignored)) {
      std::cerr << "opi sops: " << (folder / ".sops.yml").string() << " is ignored; the name is .sops.yaml\n";
    }
    if (folder == folder.parent_path()) break;
    folder = folder.parent_path();
  }
  return {};
}

}  // namespace

std::unexpected<SopsFailure> sops_failure(const Error& error, int otherwise) {
  // The code is for us; people read the rest.
  Error shown = error;
  const std::string code = std::exchange(shown.code, {});
  const bool ours = code.starts_with("sops-");
  if (!ours) shown.code = code;
  return std::unexpected(SopsFailure{.code = exit_code_of(code, otherwise), .text = shown.to_string()});
}

std::unexpected<SopsFailure> sops_failure(int code, std::string text) {
  return std::unexpected(SopsFailure{.code = code, .text = std::move(text)});
}

int finish_sops(const SopsResult<>& result) {
  if (result) return 0;
  std::cerr << "opi sops: " << result.error().text << '\n';
  return result.error().code;
}

SopsResult<secrets::sops::Format> sops_format(const std::string& type, const std::string& path) {
  if (type.empty()) return secrets::sops::format_of(path);
  if (const auto format = secrets::sops::format_named(type)) return *format;
  return sops_failure(1, fmt::format("\"{}\" is no format; there are yaml, json, dotenv, ini and binary", type));
}

std::string sops_name(const SopsArguments& arguments, const std::string& file) {
  return arguments.filename_override.empty() ? file : arguments.filename_override;
}

SopsResult<secrets::sops::Rules> sops_rules(const SopsArguments& arguments, const app::Environment& environment,
                                            const std::string& file, bool must_match) {
  const std::string config = find_config(arguments, environment);
  if (config.empty()) return secrets::sops::Rules{};
  const auto text = read_file(config, sops_bytes_max);
  if (!text) return sops_failure(text.error());
  std::error_code ignored;
  const std::string folder = fs::absolute(config, ignored).lexically_normal().parent_path().string() + "/";
  std::string path = fs::absolute(file, ignored).lexically_normal().string();
  if (path.starts_with(folder)) path.erase(0, folder.size());
  auto rules = secrets::sops::rules_for(*text, config, path);
  if (!rules && !must_match) return secrets::sops::Rules{};
  if (!rules) return sops_failure(rules.error());
  return std::move(*rules);
}

SopsResult<SopsPlan> sops_plan(const SopsArguments& arguments, const app::Environment& environment,
                               const std::string& file) {
  if (!arguments.foreign_keys.empty()) {
    return sops_failure(1, arguments.foreign_keys + ": only age keys can be encrypted to");
  }
  std::string keys = arguments.age;
  if (keys.empty()) keys = variable(environment, "SOPS_AGE_RECIPIENTS");
  auto rules = sops_rules(arguments, environment, file, keys.empty());
  if (!rules) return std::unexpected(rules.error());
  SopsPlan plan;
  plan.options.layout = rules->layout;
  if (arguments.indent > 0) plan.options.layout = {.yaml_indent = arguments.indent, .json_indent = arguments.indent};
  if (rules->creation) {
    plan.options.selector = rules->creation->selector;
    plan.options.mac_only_encrypted = rules->creation->mac_only_encrypted;
  }
  const secrets::sops::Selector wanted{.unencrypted_suffix = arguments.unencrypted_suffix,
                                       .encrypted_suffix = arguments.encrypted_suffix,
                                       .unencrypted_regex = arguments.unencrypted_regex,
                                       .encrypted_regex = arguments.encrypted_regex,
                                       .unencrypted_comment_regex = arguments.unencrypted_comment_regex,
                                       .encrypted_comment_regex = arguments.encrypted_comment_regex};
  if (wanted != secrets::sops::Selector{}) plan.options.selector = wanted;
  if (arguments.mac_only_encrypted) plan.options.mac_only_encrypted = true;
  plan.options.now = std::chrono::system_clock::now();
  if (!keys.empty()) {
    auto recipients = secrets::sops::read_recipients(keys);
    if (!recipients) return sops_failure(recipients.error());
    plan.recipients = std::move(*recipients);
    return plan;
  }
  if (!rules->creation) {
    return sops_failure(1, "no .sops.yaml with creation rules was found, and no keys were given (--age)");
  }
  if (!rules->creation->foreign.empty()) {
    return sops_failure(1, fmt::format("the creation rule names {}; only age keys can be encrypted to",
                                       fmt::join(rules->creation->foreign, ", ")));
  }
  plan.recipients = rules->creation->recipients;
  return plan;
}

SopsIdentities sops_identities_for(std::string_view text, secrets::sops::Format format,
                                   const app::Environment& environment) {
  const auto keys = secrets::sops::keys_of(text, format);
  SopsIdentities found = find_sops_identities(environment, keys ? keys->age : std::vector<std::string>{});
  if (found.identities.empty()) {
    for (const std::string& problem : found.problems) std::cerr << "opi sops: " << problem << '\n';
  }
  return found;
}

}  // namespace opi::cli
