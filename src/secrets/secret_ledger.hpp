#pragma once
/// @file
/// In sanitized test builds: a list of every secret that was made, so that a test can look for them where none may be.

#include <string_view>

namespace opi::secrets {

/// Appends the secret to the file that OPI_SECRET_LEDGER names, in builds that were configured with sanitizers; in
/// every other build it does nothing, whatever the environment says. Safe from any thread and process: one write a
/// line.
void note_made_secret(std::string_view secret);

}  // namespace opi::secrets
