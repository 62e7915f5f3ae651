#pragma once
/// @file
/// What was asked for on the command line, as plain values.

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "cli/age.hpp"
#include "cli/sops.hpp"

namespace opi::cli {

enum class Command {
  serve,
  demo,
  plan,
  apply,
  history,
  adopt,
  rotate,
  removals,
  removals_confirm,
  removals_keep,
  removals_namespace,
  credentials,
  psql,
  validate,
  schema,
  config_check,
  config_show,
  config_manual,
  age_keygen,
  age_encrypt,
  age_decrypt,
  sops_encrypt,
  sops_decrypt,
  sops_edit,
  sops_updatekeys,
  secrets_reseal,
  secrets_replace_key,
  repositories,
  suspend,
  resume,
  reconcile,
};

/// Every option of every command; a command looks at its own.
struct Arguments {
  Command command = Command::serve;
  std::string config = {};      ///< --config; empty: looked for
  std::string project = {};     ///< empty: all
  std::string deployment = {};  ///< empty: all of the project
  std::string format = {};      ///< credentials: uri, env or json
  bool additive = false;        ///< adopt
  bool full = false;            ///< adopt
  std::string secret = {};      ///< adopt: a file with the owner's password
  std::string digest = {};      ///< apply: the plan that is approved
  std::int64_t before = 0;      ///< history: older than this entry; 0: the newest
  int limit = 0;                ///< history: at most so many entries
  bool json = false;
  bool read_only = false;              ///< credentials
  bool immediately = false;            ///< rotate
  bool now = false;                    ///< removals confirm
  bool once = false;                   ///< demo
  std::string directory = ".opi";      ///< demo
  std::string examples = {};           ///< demo
  std::vector<std::string> rest = {};  ///< files of validate, arguments for psql
  bool dry_run = false;                ///< secrets reseal
  std::string kind = {};               ///< suspend, resume, reconcile: repository or project
  std::string name = {};               ///< of which
  std::string reason = {};             ///< suspend
  bool ignored_flag = false;           ///< options of the programs we stand in for that change nothing here
  std::string ignored_text = {};
  AgeArguments age = {};
  SopsArguments sops = {};
};

/// Nothing to run: help or version (code 0, text for standard output), or bad usage (64, text for standard error).
struct Leave {
  int code = 0;
  std::string text;
};

/// Exit codes of the whole program.
inline constexpr int exit_done = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_changes = 2;
inline constexpr int exit_usage = 64;
inline constexpr int exit_configuration = 78;

std::expected<Arguments, Leave> parse_arguments(int argc, const char* const* argv);

}  // namespace opi::cli
