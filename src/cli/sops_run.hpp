#pragma once
/// @file
/// What the `opi sops` commands share: formats, rules, identities, and how they end.

#include <string>

#include "app/settings_loader.hpp"
#include "base/result.hpp"
#include "cli/sops.hpp"
#include "cli/sops_identities.hpp"
#include "secrets/sops.hpp"
#include "secrets/sops_rules.hpp"

namespace opi::cli {

/// A failure that ends a command, with its exit code.
struct SopsFailure {
  int code = 1;
  std::string text;
};
template <class T = void>
using SopsResult = std::expected<T, SopsFailure>;

inline constexpr std::size_t sops_bytes_max = std::size_t{64} << 20U;

/// The failure for an error of the secrets room; `otherwise` for those without a code of their own.
std::unexpected<SopsFailure> sops_failure(const Error& error, int otherwise = 1);
std::unexpected<SopsFailure> sops_failure(int code, std::string text);
/// Explains on standard error, and gives the exit code.
int finish_sops(const SopsResult<>& result);

/// `type` ("yaml" …) when it is given, else by the name.
SopsResult<secrets::sops::Format> sops_format(const std::string& type, const std::string& path);
/// The name that decides about formats and rules: --filename-override, else the file's.
std::string sops_name(const SopsArguments& arguments, const std::string& file);

/// The rules for a file from --config, SOPS_CONFIG, or the nearest .sops.yaml from the working directory upwards.
/// Without any: no creation rule. `must_match` false: a file that no rule matches is no failure.
SopsResult<secrets::sops::Rules> sops_rules(const SopsArguments& arguments, const app::Environment& environment,
                                            const std::string& file, bool must_match);

/// How a new file is encrypted: command line first, then SOPS_AGE_RECIPIENTS, then the creation rule.
struct SopsPlan {
  std::vector<secrets::AgeRecipient> recipients;
  secrets::sops::EncryptOptions options;  ///< without recipients
};
SopsResult<SopsPlan> sops_plan(const SopsArguments& arguments, const app::Environment& environment,
                               const std::string& file);

/// Identities for the keys of an encrypted text; what is wrong with their sources is told on standard error when none
/// is found.
SopsIdentities sops_identities_for(std::string_view text, secrets::sops::Format format,
                                   const app::Environment& environment);

}  // namespace opi::cli
