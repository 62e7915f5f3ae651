#pragma once
/// @file
/// How every room says what happens: a sink interface and a small handle on it.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.hpp"

namespace opi {

enum class LogLevel { debug, info, warn, error };

/// "debug", "info", "warn", "error".
std::string_view to_string(LogLevel level) noexcept;

/// A named value beside the message; machines read these. Never a secret.
struct LogField {
  std::string key;
  std::string value;
};
using LogFields = std::vector<LogField>;

/// One thing that happened. `room` is who says it ("lifespan", "pool", "git" …), `subject` what it is about
/// (a pool's name, a phase's verb, a project), `message` the rest of the line.
struct LogRecord {
  WallTime time;
  LogLevel level = LogLevel::info;
  std::string_view room;
  std::string_view subject;
  std::string_view message;
  const LogFields* fields = nullptr;  ///< valid during the call only; may be null
};

/// Where records go. Implementations are safe from any thread, do not throw, and do not block for long.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual bool wants(LogLevel level) const noexcept = 0;
  virtual void write(const LogRecord& record) noexcept = 0;
  /// Returns when everything written before has left the process, or could not.
  virtual void flush() noexcept = 0;
};

/// A sink that drops everything; for tests and tools.
LogSink& silent_log() noexcept;

/// A copyable handle: a borrowed sink and the name of the room that speaks. The sink outlives it.
/// Safe from any thread.
class Logger {
 public:
  Logger() noexcept : sink_(&silent_log()) {}
  Logger(LogSink& sink, std::string room) : sink_(&sink), room_(std::move(room)) {}

  /// The same sink, another room.
  Logger named(std::string room) const { return {*sink_, std::move(room)}; }
  LogSink& sink() const noexcept { return *sink_; }

  void debug(std::string_view subject, std::string_view message, const LogFields& fields = {}) const {
    write(LogLevel::debug, subject, message, fields);
  }
  void info(std::string_view subject, std::string_view message, const LogFields& fields = {}) const {
    write(LogLevel::info, subject, message, fields);
  }
  void warn(std::string_view subject, std::string_view message, const LogFields& fields = {}) const {
    write(LogLevel::warn, subject, message, fields);
  }
  void error(std::string_view subject, std::string_view message, const LogFields& fields = {}) const {
    write(LogLevel::error, subject, message, fields);
  }
  void write(LogLevel level, std::string_view subject, std::string_view message, const LogFields& fields = {}) const;

 private:
  LogSink* sink_;
  std::string room_;
};

}  // namespace opi
