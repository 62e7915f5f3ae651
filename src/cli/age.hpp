#pragma once
/// @file
/// `opi age keygen | encrypt | decrypt`: what age and age-keygen do, with their options.

#include <string>
#include <vector>

namespace opi::cli {

/// What stands on the command line.
struct AgeArguments {
  std::vector<std::string> recipients = {};       ///< -r
  std::vector<std::string> recipient_files = {};  ///< -R
  std::vector<std::string> identity_files = {};   ///< -i; a file may itself be sealed with a passphrase
  bool passphrase = false;                        ///< -p
  bool armor = false;                             ///< -a
  bool convert = false;                           ///< keygen -y: public keys of an identity file
  std::string plugin = {};                        ///< -j: not supported
  std::string output = {};                        ///< -o; empty or "-": standard output
  std::string input = {};                         ///< empty or "-": standard input
};

// Each returns 0, or 1 after an explanation on standard error. Passphrases are asked for on the terminal.
int run_age_keygen(const AgeArguments& arguments);
int run_age_encrypt(const AgeArguments& arguments);
int run_age_decrypt(const AgeArguments& arguments);

}  // namespace opi::cli
