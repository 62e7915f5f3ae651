#pragma once
/// @file
/// What a one-shot command stands on: the foundation phases, the control database, and the projects as they are now.

#include <functional>
#include <memory>
#include <string>

#include "aio/lifespan.hpp"
#include "app/services.hpp"
#include "app/settings.hpp"
#include "app/stop_signal.hpp"
#include "cli/event_loop.hpp"

namespace opi::cli {

/// How much of it a command needs.
enum class SessionNeeds {
  control,   ///< the control database
  projects,  ///< and the project files
};

/// Work of a command: given the services, ends with its exit code.
using SessionWork = std::function<Task<int>(app::Services* services)>;

/// Opens what `needs` says, runs `work`, closes everything again in reverse, whatever happened. SIGINT and SIGTERM
/// cancel the work. What fails is printed as one line each ("opi: …") and answered with 1 (78 for a configuration that
/// cannot be used). Broken project files are printed and make the code 1, and the good ones are worked on. The log
/// stays at warnings unless the configuration says otherwise: people read the command's own output.
/// `before_complaint`, when given, is called before each line that is printed.
int run_session(app::Settings settings, SessionNeeds needs, SessionWork work,
                std::function<void()> before_complaint = {});

}  // namespace opi::cli
