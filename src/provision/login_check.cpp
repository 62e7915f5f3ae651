#include "provision/login_check.hpp"

#include <boost/asio/this_coro.hpp>
#include <memory>
#include <utility>

#include "pg/connection.hpp"
#include "pg/sqlstate.hpp"

namespace opi::provision {

std::string_view to_string(LoginVerdict verdict) noexcept {
  switch (verdict) {
    case LoginVerdict::works: return "works";
    case LoginVerdict::wrong_password: return "wrong password";
    case LoginVerdict::refused: return "refused";
    case LoginVerdict::full: return "no connection free";
    case LoginVerdict::no_database: return "no such database";
    case LoginVerdict::not_permitted: return "may not connect";
    case LoginVerdict::unreachable: return "unreachable";
    case LoginVerdict::other: return "failed";
  }
  return "unknown";
}

LoginVerdict verdict_of(const Error& error) noexcept {
  namespace sqlstate = pg::sqlstate;
  if (error.code == sqlstate::invalid_password) return LoginVerdict::wrong_password;
  if (error.code == sqlstate::invalid_authorization) return LoginVerdict::refused;
  if (error.code == sqlstate::too_many_connections) return LoginVerdict::full;
  if (error.code == sqlstate::invalid_catalog_name) return LoginVerdict::no_database;
  if (error.code == sqlstate::insufficient_privilege) return LoginVerdict::not_permitted;
  if (error.kind == ErrorKind::unavailable || error.kind == ErrorKind::timed_out) return LoginVerdict::unreachable;
  return LoginVerdict::other;
}

pg::ServerSettings tenant_settings(const pg::ServerSettings& admin, std::string user, const SecretString& password,
                                   std::string database) {
  auto server = admin;
  server.user = std::move(user);
  server.database = std::move(database);
  server.password = [shared = std::make_shared<const SecretString>(password.copy())]() -> Result<SecretString> {
    return shared->copy();
  };
  server.application_name = "opi login check";
  server.options.clear();
  server.pin_role_and_path = false;
  return server;
}

Task<LoginProof> prove_login(pg::ServerSettings server, aio::BlockingPool* blocking, SteadyTime deadline) {
  auto executor = co_await asio::this_coro::executor;
  LoginProof proof;
  auto connection = co_await pg::Connection::connect(executor, server, *blocking, deadline);
  if (!connection) {
    proof.verdict = verdict_of(connection.error());
    proof.error = std::move(connection.error());
    co_return proof;
  }
  // The tenant may have put anything on its search_path: only names that cannot be shadowed.
  auto rows =
      co_await connection->query("SELECT current_user::pg_catalog.text, pg_catalog.current_schema()::pg_catalog.text");
  if (rows && rows->size() == 1) {
    proof.verdict = LoginVerdict::works;
    proof.current_user = (*rows)[0].text(0);
    proof.current_schema = (*rows)[0].text(1);
  } else if (!rows) {
    proof.error = std::move(rows.error());
  }
  co_await connection->close(deadline);
  co_return proof;
}

}  // namespace opi::provision
