#pragma once
/// @file
/// The commands that work on deployments in a process of their own, under the same locks as the daemon: plan, apply,
/// credentials, psql.

#include <functional>

#include "app/services.hpp"
#include "app/settings_loader.hpp"
#include "cli/arguments.hpp"
#include "cli/command_session.hpp"
#include "store/history.hpp"

namespace opi::cli {

/// Who causes what a command does: the user, on this host, in this process.
store::Cause command_cause();

/// A command's work, given what it stands on.
using ServicesCommand = std::function<Task<int>(app::Services* services, Arguments arguments)>;
/// Loads the configuration (78 when it cannot be used), opens what `needs` says, runs `command`: its exit code.
int with_session(const Arguments& arguments, const app::Environment& environment, SessionNeeds needs,
                 ServicesCommand command);
/// "opi: …" on standard error; 1.
int complain(const Error& error);

/// `opi plan`: prints what would be changed. 0 nothing, 2 changes, 1 failed.
int run_plan(const Arguments& arguments, const app::Environment& environment);
/// `opi apply`: makes it true and prints what was done. 0, or 1 when something failed, was refused or waits.
int run_apply(const Arguments& arguments, const app::Environment& environment);
/// `opi credentials PROJECT DEPLOYMENT`: prints them to standard output, as asked for.
int run_credentials(const Arguments& arguments, const app::Environment& environment);
/// `opi psql PROJECT DEPLOYMENT`: psql's own exit code.
int run_psql_command(const Arguments& arguments, const app::Environment& environment);

}  // namespace opi::cli
