#include "bench/server.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

namespace opi::bench {

pg::ServerSettings server_from_environment() {
  const auto variable = [](const char* name, std::string otherwise) {
    const char* const value = std::getenv(name);
    return value != nullptr && *value != '\0' ? std::string(value) : std::move(otherwise);
  };
  pg::ServerSettings server;
  server.hosts = {{.host = variable("PGHOST", "/var/run/postgresql"),
                   .port = static_cast<std::uint16_t>(std::strtoul(variable("PGPORT", "5432").c_str(), nullptr, 10))}};
  server.user = variable("PGUSER", variable("USER", "postgres"));
  server.database = variable("PGDATABASE", server.user);
  if (const std::string password = variable("PGPASSWORD", ""); !password.empty()) {
    server.password = [password]() -> Result<SecretString> { return SecretString(password); };
  }
  const std::string tls = variable("PGSSLMODE", "prefer");
  server.tls = tls == "disable" ? pg::TlsMode::disable : tls == "require" ? pg::TlsMode::require : pg::TlsMode::prefer;
  server.application_name = "opi-bench";
  return server;
}

}  // namespace opi::bench
