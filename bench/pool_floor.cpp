// The limit that a pool is measured against: the same statements over the same connections by plain libpq on one epoll
// loop, with no pool, no tasks and no coroutines.
#include <endian.h>
#include <libpq-fe.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <charconv>
#include <deque>
#include <memory>
#include <stdexcept>
#include <vector>

#include "bench/pool_run.hpp"

namespace opi::bench {
namespace {

struct Finish {
  void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
};
using Handle = std::unique_ptr<PGconn, Finish>;

struct Clear {
  void operator()(PGresult* result) const noexcept { PQclear(result); }
};
using Answer = std::unique_ptr<PGresult, Clear>;

using Time = PoolLoad::Time;

Time now() {
  return std::chrono::steady_clock::now();
}

[[noreturn]] void fail(PGconn* connection) {
  throw std::runtime_error(PQerrorMessage(connection));
}

/// All of them at once, from PG*.
std::vector<Handle> connect(int count) {
  std::vector<Handle> connections;
  std::vector<pollfd> polled;
  for (int at = 0; at < count; ++at) {
    connections.emplace_back(PQconnectStart(""));
    if (PQstatus(connections.back().get()) == CONNECTION_BAD) fail(connections.back().get());
    polled.push_back({.fd = PQsocket(connections.back().get()), .events = POLLOUT, .revents = 0});
  }
  for (int left = count; left > 0;) {
    if (::poll(polled.data(), polled.size(), 10'000) <= 0) throw std::runtime_error("connecting took too long");
    for (std::size_t at = 0; at < polled.size(); ++at) {
      if (polled[at].revents == 0) continue;
      PGconn* const connection = connections[at].get();
      const PostgresPollingStatusType status = PQconnectPoll(connection);
      if (status == PGRES_POLLING_FAILED) fail(connection);
      const bool writes = status == PGRES_POLLING_WRITING;
      polled[at] = {.fd = PQsocket(connection), .events = static_cast<short>(writes ? POLLOUT : POLLIN), .revents = 0};
      if (status == PGRES_POLLING_OK) {
        polled[at].fd = -1;
        --left;
      }
    }
  }
  return connections;
}

/// One connection and what it has under way: when each was asked for.
struct Line {
  PGconn* connection;
  std::deque<Time> under_way = {};
};

class Floor {
 public:
  Floor(PoolLoad* load, const std::vector<Handle>& connections)
      : load_(load),
        pipelined_(load->run().mode == PoolRun::Mode::floor_pipeline),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    for (const Handle& connection : connections) lines_.push_back({.connection = connection.get()});
    for (Line& line : lines_) prepare(line);
  }
  ~Floor() { ::close(epoll_); }
  Floor(const Floor&) = delete;
  Floor& operator=(const Floor&) = delete;

  void run() {
    for (int task = 0; task < load_->run().tasks; ++task) {
      Line& line = lines_[static_cast<std::size_t>(task) % lines_.size()];
      if (pipelined_ || line.under_way.empty()) {
        send(line, now());
      } else {
        queue_.push_back(now());
      }
    }
    std::vector<epoll_event> events(lines_.size());
    while (!load_->stopped()) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 10'000);
      if (count <= 0) throw std::runtime_error("no answer in ten seconds");
      for (int at = 0; at < count; ++at) {
        take(*static_cast<Line*>(events[static_cast<std::size_t>(at)].data.ptr));
      }
    }
  }

 private:
  void prepare(Line& line) const {
    const Answer prepared(PQprepare(line.connection, "item", std::string(item_sql).c_str(), 0, nullptr));
    if (PQresultStatus(prepared.get()) != PGRES_COMMAND_OK) fail(line.connection);
    if (PQsetnonblocking(line.connection, 1) != 0) fail(line.connection);
    if (pipelined_ && PQenterPipelineMode(line.connection) == 0) fail(line.connection);
    epoll_event event{.events = EPOLLIN, .data = {.ptr = &line}};
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, PQsocket(line.connection), &event);
  }

  void send(Line& line, Time asked) {
    const std::uint32_t id = htobe32(static_cast<std::uint32_t>(load_->next_id()));
    const char* const value = reinterpret_cast<const char*>(&id);
    const int length = sizeof id;
    const int binary = 1;
    const Time sent = now();
    if (!pipelined_) load_->add_wait(asked, sent);  // for a connection
    if (PQsendQueryPrepared(line.connection, "item", 1, &value, &length, &binary, 0) == 0) fail(line.connection);
    if (pipelined_ && PQpipelineSync(line.connection) == 0) fail(line.connection);
    line.under_way.push_back(sent);
  }

  void take(Line& line) {
    if (PQconsumeInput(line.connection) == 0) fail(line.connection);
    while (!line.under_way.empty() && PQisBusy(line.connection) == 0) {
      const Answer answer(PQgetResult(line.connection));
      if (answer) {
        const ExecStatusType status = PQresultStatus(answer.get());
        if (status == PGRES_TUPLES_OK) read(answer.get());
        if (status == PGRES_PIPELINE_SYNC) end(line);
        if (status != PGRES_TUPLES_OK && status != PGRES_PIPELINE_SYNC) fail(line.connection);
      } else if (!pipelined_) {
        end(line);
      }
    }
  }

  void read(PGresult* answer) {
    const std::string_view number = PQgetvalue(answer, 0, 0);
    std::int32_t id = 0;
    std::from_chars(number.data(), number.data() + number.size(), id);
    load_->read(id, {PQgetvalue(answer, 0, 1), static_cast<std::size_t>(PQgetlength(answer, 0, 1))},
                {PQgetvalue(answer, 0, 2), static_cast<std::size_t>(PQgetlength(answer, 0, 2))});
  }

  /// The statement in front has its answer: whoever asked for it asks again.
  void end(Line& line) {
    const Time asked = line.under_way.front();
    line.under_way.pop_front();
    load_->count();
    if (load_->stopped()) return;
    if (pipelined_) {
      load_->add_wait(asked, now());  // for the answer
      send(line, now());
      return;
    }
    queue_.push_back(now());
    const Time next = queue_.front();
    queue_.pop_front();
    send(line, next);
  }

  PoolLoad* load_;
  bool pipelined_;
  int epoll_;
  std::deque<Line> lines_;
  std::deque<Time> queue_;  ///< who waits for a connection
};

}  // namespace

void run_floor(const PoolRun& run) {
  const Stopwatch starting;
  std::vector<Handle> connections = connect(run.pool);
  const double startup_ms = starting.wall_ms();
  PoolLoad load(run);
  Floor(&load, connections).run();
  // Those under way are answered first: what is closed is idle.
  for (const Handle& connection : connections) {
    PQsetnonblocking(connection.get(), 0);
    if (run.mode == PoolRun::Mode::floor_pipeline) {
      while (PQexitPipelineMode(connection.get()) == 0) const Answer rest(PQgetResult(connection.get()));
    }
    while (const Answer rest{PQgetResult(connection.get())}) {
    }
  }
  const Stopwatch closing;
  connections.clear();
  load.print(run.mode == PoolRun::Mode::floor ? "floor" : "floor-pipeline", startup_ms, closing.wall_ms());
}

}  // namespace opi::bench
