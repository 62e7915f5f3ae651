#pragma once
/// @file
/// `opi sops encrypt | decrypt | edit | updatekeys`: what the program sops does, with its options and exit codes.

#include <string>
#include <vector>

#include "app/settings_loader.hpp"

namespace opi::cli {

/// What stands on the command line.
struct SopsArguments {
  std::string input = {};               ///< empty: standard input
  std::vector<std::string> files = {};  ///< updatekeys
  std::string config = {};              ///< --config; empty: SOPS_CONFIG, then .sops.yaml here or above
  std::string output = {};
  std::string input_type = {};
  std::string output_type = {};
  std::string filename_override = {};
  std::string extract = {};
  std::string age = {};           ///< recipients; empty: SOPS_AGE_RECIPIENTS, then the creation rules
  std::string foreign_keys = {};  ///< --kms, --pgp …: not supported, named in the refusal
  std::string unencrypted_suffix = {};
  std::string encrypted_suffix = {};
  std::string unencrypted_regex = {};
  std::string encrypted_regex = {};
  std::string unencrypted_comment_regex = {};
  std::string encrypted_comment_regex = {};
  bool in_place = false;
  bool ignore_mac = false;
  bool mac_only_encrypted = false;
  bool yes = false;  ///< updatekeys: do not ask
  int indent = 0;    ///< 0: as the configuration says
};

/// Exit codes of sops that are not our own.
namespace sops_exit {
inline constexpr int cannot_read = 2;
inline constexpr int cannot_write = 3;
inline constexpr int cannot_dump = 4;
inline constexpr int conflicting = 8;
inline constexpr int cannot_encrypt = 23;
inline constexpr int cannot_decrypt = 25;
inline constexpr int mac_mismatch = 51;
inline constexpr int bad_path = 91;
inline constexpr int empty = 92;
inline constexpr int no_file = 100;
inline constexpr int no_data_key = 128;
inline constexpr int unchanged = 200;
inline constexpr int no_editor = 201;
inline constexpr int already_encrypted = 203;
}  // namespace sops_exit

// Each returns 0 or one of the codes above, after an explanation on standard error.
int run_sops_encrypt(const SopsArguments& arguments, const app::Environment& environment);
int run_sops_decrypt(const SopsArguments& arguments, const app::Environment& environment);
int run_sops_edit(const SopsArguments& arguments, const app::Environment& environment);
int run_sops_updatekeys(const SopsArguments& arguments, const app::Environment& environment);

}  // namespace opi::cli
