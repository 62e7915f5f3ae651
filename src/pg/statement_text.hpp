#pragma once
/// @file
/// What the text of a statement proves about the session it runs in.

#include <string_view>

namespace opi::pg {

/// What a statement may leave behind in its session once its transaction is over.
struct StatementEffects {
  bool dirties_session = true;       ///< anything but proven harmless
  bool names_statements = false;     ///< may PREPARE, DEALLOCATE or DISCARD: prepared statements are not what they were
  bool copies = true;                ///< moves data outside of results
  bool controls_transaction = true;  ///< begins or ends one, or handles savepoints
};

/// Harmless is: one statement (or several) that each begin with SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES, TABLE,
/// WITH, SHOW or a word of transaction control, create no table (SELECT INTO) and name no function that changes the
/// session (set_config, setseed, advisory locks, sequence functions, dblink). Everything else, and whatever cannot be
/// read with certainty, dirties the session. Limit: a function of the user's that does such things inside is not seen.
/// Pure, safe from any thread.
StatementEffects effects_of(std::string_view sql) noexcept;

}  // namespace opi::pg
