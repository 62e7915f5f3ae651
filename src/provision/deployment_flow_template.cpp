// The part of a flow that lets PostgreSQL copy a whole database, its source being the template.

#include <fmt/format.h>

#include <boost/asio/this_coro.hpp>
#include <utility>

#include "aio/task_scope.hpp"
#include "aio/with_deadline.hpp"
#include "base/clock.hpp"
#include "provision/batch.hpp"
#include "provision/clone_template.hpp"
#include "provision/deployment_flow.hpp"
#include "provision/removal.hpp"
#include "provision/sessions.hpp"

namespace opi::provision {
namespace {

constexpr std::chrono::milliseconds clearing_pause{20};
constexpr std::chrono::seconds tail_time{10};

/// Who is in a database that is to be copied, and who is sent away. Lives in the frame that waits for the task.
struct Clearing {
  pg::Connection connection;
  ServerFacts facts;
  std::string database;
  std::vector<std::string> logins;
  std::string problem = {};
};

/// CREATE DATABASE keeps new sessions of its template waiting, and itself waits some seconds for those that are there.
Task<> keep_clearing(Clearing* clearing) {
  for (;;) {
    auto done = co_await clear_database(&clearing->connection, clearing->facts, clearing->database, clearing->logins);
    if (!done) {
      clearing->problem = done.error().to_string();
      co_return;
    }
    if (!co_await aio::sleep_for(clearing_pause)) co_return;
  }
}

Task<> stop_clearing(Clearing* clearing, aio::TaskScope* scope) {
  scope->cancel();
  co_await scope->join();
  co_await clearing->connection.close(steady_now() + tail_time);
}

}  // namespace

/// Before anything of it is made, and before a session is ended for nothing.
Task<Result<>> DeploymentFlow::check_template() {
  if (!copies_by_template()) co_return Result<>{};
  const auto& facts = observed_.facts;
  std::optional<std::string> why;
  if (!facts.superuser && !facts.inherit && facts.version < 160000) {
    why = fmt::format("our admin {} does not inherit the rights of the roles that it is a member of", facts.admin);
  } else {
    const auto room = co_await tools_->budget->take(pool_, 1, deadline_);
    if (!room) co_return failure(Error(room.error()).while_doing(desired_.title()));
    auto source = co_await enter(clone_->make->from);
    if (!source) co_return failure(std::move(source.error()));
    auto mentions = co_await observe_mentions(&*source, roles_of(source_->deployment.base_name), desired_.names.base);
    co_await source->close(steady_now() + tail_time);
    if (!mentions) co_return failure(std::move(mentions.error()).while_doing(desired_.title()));
    why = beyond_template(*mentions);
  }
  if (!why) co_return Result<>{};
  refusal_ = Error(ErrorKind::unsupported,
                   fmt::format("{}: {} cannot be copied by template: {}", desired_.title(), clone_->make->from, *why))
                 .at(desired_.clone->place)
                 .with_remedy("remove clone-method: pg_dump copies it")
                 .handled_by(Handling::needs_person);
  co_return Result<>{};
}

/// Those who are in the source are sent away as long as it takes: a client that comes back at once would be in the way
/// again, were it done before.
Task<Result<>> DeploymentFlow::copy_template(std::string statement) {
  const auto room = co_await tools_->budget->take(pool_, 1, deadline_);
  if (!room) co_return failure(room.error());
  auto beside = co_await enter(pool().config().server.database);
  if (!beside) co_return failure(std::move(beside.error()));
  auto executor = co_await asio::this_coro::executor;
  Clearing clearing{.connection = std::move(*beside),
                    .facts = observed_.facts,
                    .database = clone_->make->from,
                    .logins = roles_of(source_->deployment.base_name)};
  aio::TaskScope scope(executor, tools_->log, "clear " + clearing.database);
  scope.spawn("clear", keep_clearing(&clearing));
  auto done = co_await run_alone(
      server(), fmt::format("SET statement_timeout = {}", static_cast<long long>(tools_->clone.deadline.count())));
  if (done) done = co_await run_alone(server(), std::move(statement));
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await aio::shielded(stop_clearing(&clearing, &scope));
  co_await asio::this_coro::throw_if_cancelled(true);
  if (!server()->broken()) {
    auto reset = co_await run_alone(server(), "RESET statement_timeout");
    if (done && !reset) done = std::move(reset);
  }
  if (!done && !clearing.problem.empty()) co_return failure(std::move(done.error()).because(clearing.problem));
  co_return done;
}

/// Everything in it gets its new owner and loses the rights that were given to others; read back in the same
/// transaction, or nothing of it happens.
Task<Result<>> DeploymentFlow::take_over(std::string title) {
  const auto room = co_await tools_->budget->take(pool_, 1, deadline_);
  if (!room) co_return failure(Error(room.error()).while_doing(title));
  auto inside = co_await enter(clone_->make->database);
  if (!inside) co_return failure(std::move(inside.error()));
  auto done = co_await take_over_inside(&*inside);
  co_await inside->close(steady_now() + tail_time);
  if (!done) co_return failure(std::move(done.error()).while_doing(title));
  co_return done;
}

Task<Result<>> DeploymentFlow::take_over_inside(pg::Connection* inside) {
  const auto roles = roles_of(source_->deployment.base_name);
  auto mentions = co_await observe_mentions(inside, roles, desired_.names.base);
  if (!mentions) co_return failure(std::move(mentions.error()));
  const auto text = take_over_text(*mentions, desired_.names.base);
  audit_.add("take_over", text);
  auto done = co_await audit_.write_ahead(control());
  const auto began = steady_now();
  if (done) done = co_await begin_batch(inside, session_settings() + text);
  if (done) {
    auto left = co_await observe_mentions(inside, roles, desired_.names.base);
    if (!left) {
      done = failure(std::move(left.error()));
    } else if (!left->empty()) {
      const auto what = left->objects.empty() ? "default privileges of " + left->defaults.front().role
                                              : left->objects.front().type + " " + left->objects.front().identity;
      done = failure(ErrorKind::conflict, fmt::format("{} still names a role of the source", what));
    }
    if (!done) co_await rollback_batch(inside);
  }
  if (done) done = co_await commit_stage(inside, "taken over");
  audit_.ended("take_over", done, std::chrono::duration_cast<std::chrono::microseconds>(steady_now() - began));
  co_return done;
}

}  // namespace opi::provision
