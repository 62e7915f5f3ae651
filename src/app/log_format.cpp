#include <fmt/format.h>
#include <time.h>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "app/log_sink.hpp"

namespace opi::app {

namespace {

struct CalendarTime {
  std::tm fields{};
  int milliseconds = 0;
};

CalendarTime calendar(WallTime time, bool utc) {
  const auto since = time.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  CalendarTime result;
  result.milliseconds =
      static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(since - seconds).count());
  const std::time_t stamp = seconds.count();
  if (utc) {
    gmtime_r(&stamp, &result.fields);
  } else {
    localtime_r(&stamp, &result.fields);
  }
  return result;
}

// Input from Git, HTTP and servers ends up in messages: a control character must not move the cursor or forge a line.
std::string escape_control(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      safe += c == '\n' ? std::string("\\n") : fmt::format("\\x{:02x}", byte);
    } else {
      safe += c;
    }
  }
  return safe;
}

std::string_view colour_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return "\x1b[2m";
    case LogLevel::info: return "\x1b[32m";
    case LogLevel::warn: return "\x1b[33m";
    case LogLevel::error: return "\x1b[31m";
  }
  return "";
}

}  // namespace

std::string format_text(const LogRecord& record, bool colour) {
  const auto when = calendar(record.time, false);
  std::string line = fmt::format("{:02}:{:02}:{:02}.{:03} ", when.fields.tm_hour, when.fields.tm_min,
                                 when.fields.tm_sec, when.milliseconds);
  if (colour) line += colour_of(record.level);
  line += fmt::format("{:<5}", to_string(record.level));
  if (colour) line += "\x1b[0m";
  line += fmt::format(" {:<10} {:<11} {}", escape_control(record.room), escape_control(record.subject),
                      escape_control(record.message));
  return line;
}

std::string format_json(const LogRecord& record) {
  const auto when = calendar(record.time, true);
  boost::json::object object;
  object["time"] =
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", when.fields.tm_year + 1900, when.fields.tm_mon + 1,
                  when.fields.tm_mday, when.fields.tm_hour, when.fields.tm_min, when.fields.tm_sec, when.milliseconds);
  object["level"] = to_string(record.level);
  object["room"] = record.room;
  object["subject"] = record.subject;
  object["message"] = record.message;
  if (record.fields != nullptr) {
    boost::json::object fields;
    for (const auto& field : *record.fields) fields[field.key] = field.value;
    object["fields"] = std::move(fields);
  }
  return boost::json::serialize(object);
}

}  // namespace opi::app
