#pragma once
/// @file
/// Writes that are on disk when they return, and those that may be a moment later.

#include <string_view>

namespace opi::store {

/// A common table expression that a writing statement names in its FROM: the server then answers only when the write is
/// on its disk, whatever the settings of server, database or role say (synchronous_commit). It is local to the
/// statement's own transaction and costs no round trip. For everything that must be known before SQL is run because of
/// it.
inline constexpr std::string_view durable_cte =
    "durable AS MATERIALIZED (SELECT set_config('synchronous_commit', 'on', true) AS set)";

/// The opposite, for what is found out again when it is lost: a server that crashes within the next second may forget
/// it. The process may die at any time; and the next durable write takes it along.
inline constexpr std::string_view relaxed_cte =
    "durable AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true) AS set)";

}  // namespace opi::store
