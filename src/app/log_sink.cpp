#include "app/log_sink.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include <cstdlib>

namespace opi::app {

namespace {

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warn: return spdlog::level::warn;
    case LogLevel::error: return spdlog::level::err;
  }
  return spdlog::level::err;
}

// spdlog does what it is good at (one atomic write per line from any thread, flushing); the form of a line is ours,
// because version 1.10 has no structured fields.
class SpdlogSink final : public LogSink {
 public:
  SpdlogSink(LogFormat format, LogLevel least) : logger_("opi", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    json_ = format == LogFormat::json || (format == LogFormat::automatic && !terminal);
    colour_ = !json_ && terminal && std::getenv("NO_COLOR") == nullptr;
    logger_.set_pattern("%v");
    logger_.set_level(level_of(least));
    logger_.flush_on(spdlog::level::debug);
    logger_.set_error_handler([](const std::string&) {});  // a closed standard error must not end the daemon
  }

  bool wants(LogLevel level) const noexcept override { return logger_.should_log(level_of(level)); }

  void write(const LogRecord& record) noexcept override {
    try {
      logger_.log(level_of(record.level), json_ ? format_json(record) : format_text(record, colour_));
    } catch (...) {  // NOLINT(bugprone-empty-catch): out of memory while logging; there is nowhere to say so
    }
  }

  void flush() noexcept override {
    try {
      logger_.flush();
    } catch (...) {  // NOLINT(bugprone-empty-catch): as above
    }
  }

 private:
  spdlog::logger logger_;
  bool json_ = false;
  bool colour_ = false;
};

}  // namespace

std::unique_ptr<LogSink> make_log_sink(LogFormat format, LogLevel least) {
  return std::make_unique<SpdlogSink>(format, least);
}

}  // namespace opi::app
