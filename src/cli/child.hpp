#pragma once
/// @file
/// Programs that a command runs on its terminal: editors, and commands that hand out keys. Never through a shell.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/secret_string.hpp"

namespace opi::cli {

/// Words of a command as a shell would split them: blanks, single and double quotes, backslashes; nothing is expanded.
/// Errors: invalid (a quote that does not end, nothing at all).
Result<std::vector<std::string>> split_words(std::string_view command);

/// Variables for a child: ours without those that hold keys or passwords of ours, and `more` on top ("NAME=value").
std::vector<std::string> child_environment(const std::vector<std::string>& more = {});

/// Runs a program on our standard streams until it ends; its exit code, 128 and more for a signal. SIGINT and SIGQUIT
/// are its own meanwhile. Errors: not_found, internal.
Result<int> run_on_terminal(const std::vector<std::string>& command);

/// What a program writes to its standard output, at most 1 MiB; its input is empty, its errors are ours. Errors:
/// not_found, exhausted, invalid (it ended with another code than 0).
Result<SecretString> output_of(const std::vector<std::string>& command, const std::vector<std::string>& environment);

}  // namespace opi::cli
