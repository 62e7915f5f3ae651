#include "base/log.hpp"

namespace opi {

namespace {

class SilentLog final : public LogSink {
 public:
  bool wants(LogLevel) const noexcept override { return false; }
  void write(const LogRecord&) noexcept override {}
  void flush() noexcept override {}
};

}  // namespace

std::string_view to_string(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::debug: return "debug";
    case LogLevel::info: return "info";
    case LogLevel::warn: return "warn";
    case LogLevel::error: return "error";
  }
  return "error";
}

LogSink& silent_log() noexcept {
  static SilentLog sink;  // stateless
  return sink;
}

void Logger::write(LogLevel level, std::string_view subject, std::string_view message, const LogFields& fields) const {
  if (!sink_->wants(level)) return;
  sink_->write(LogRecord{.time = std::chrono::system_clock::now(),
                         .level = level,
                         .room = room_,
                         .subject = subject,
                         .message = message,
                         .fields = fields.empty() ? nullptr : &fields});
}

}  // namespace opi
