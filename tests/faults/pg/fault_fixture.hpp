#pragma once
/// @file
/// Pools whose server is a script, or stands behind a proxy that misbehaves.

#include "integration/pg/pool_fixture.hpp"
#include "support/fake_postgres.hpp"
#include "support/fault_proxy.hpp"

namespace opi::pg {

class FaultTest : public PoolTest {
 protected:
  /// Through `port` of this machine instead of the server's own, not encrypted.
  PoolConfig at(std::uint16_t port, std::uint32_t min, std::uint32_t max) const {
    PoolConfig through = config(min, max);
    through.server.hosts = {{.host = "127.0.0.1", .port = port}};
    through.server.tls = TlsMode::disable;
    return through;
  }
  /// Asks until a connection serves; false when none does in time.
  bool heals(DatabasePool& pool) {
    (void)run(pool.recover(in(5s)));
    return eventually(
        [&] {
          const auto lease = run(pool.acquire({.deadline = in(2s), .task = {}}));
          return lease && run((**lease).query("SELECT 1")).has_value();
        },
        30s);
  }
  static void expect_all_back(const DatabasePool& pool) {
    const PoolStats stats = pool.stats();
    EXPECT_EQ(stats.waiting, 0U);
    EXPECT_LE(stats.idle + stats.used + stats.dialing + stats.closing, stats.max);
    EXPECT_TRUE(pool.holders().empty());
  }
};

}  // namespace opi::pg
