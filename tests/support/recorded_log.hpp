#pragma once
/// @file
/// A log that remembers its lines, as "warn shop/prod: what happened".

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.hpp"

namespace opi::test {

/// Not synchronised: for what logs on one thread.
class RecordedLog final : public LogSink {
 public:
  bool wants(LogLevel /*level*/) const noexcept override { return true; }
  void write(const LogRecord& record) noexcept override {
    lines.push_back(std::string(to_string(record.level)) + " " + std::string(record.subject) + ": " +
                    std::string(record.message));
  }
  void flush() noexcept override {}

  std::size_t count(std::string_view part) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(lines, [&](const std::string& line) { return line.contains(part); }));
  }
  bool has(std::string_view part) const { return count(part) != 0; }

  std::vector<std::string> lines;
};

}  // namespace opi::test
