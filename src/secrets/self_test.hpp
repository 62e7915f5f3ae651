#pragma once
/// @file
/// Proof, before anything is sealed, that the library under us does its arithmetic right.

#include "base/result.hpp"

namespace opi::secrets {

/// Opens an age file and a SOPS file whose content is known, seals and opens fresh ones, refuses a damaged one, and
/// checks a SCRAM verifier and the random generator. A few milliseconds. Errors: internal, naming what failed; the
/// caller must not go on.
Result<> self_test();

}  // namespace opi::secrets
