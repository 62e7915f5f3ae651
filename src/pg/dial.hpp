#pragma once
/// @file
/// Makes a libpq connection without blocking the event loop.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "aio/blocking_pool.hpp"
#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "pg/settings.hpp"

struct pg_conn;

namespace opi::pg {

/// libpq's connection; shared only while a blocking call on it is under way.
using ConnectionHandle = std::shared_ptr<pg_conn>;

/// An authenticated connection, in non-blocking mode, and whom it goes to.
struct Dialed {
  ConnectionHandle handle;
  std::string peer;
};

/// libpq's keywords for one host: everything that its environment variables and files could steer is said here, except
/// the password. Pins and options are sent in the startup packet.
std::vector<std::pair<std::string, std::string>> connection_keywords(const ServerSettings& server,
                                                                     const HostPort& host);

/// Logs in to one host. Name lookup, file reading, key derivation and the password provider run on `blocking`, which
/// outlives the call.
///
/// Errors: timed_out, unavailable, denied (28P01, 28000), not_found (3D000), exhausted (53300), invalid, cancelled.
Task<Result<Dialed>> dial(asio::any_io_executor executor, ServerSettings server, HostPort host,
                          aio::BlockingPool* blocking, SteadyTime deadline);

}  // namespace opi::pg
