#include "base/log.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace opi {
namespace {

class RecordingSink final : public LogSink {
 public:
  explicit RecordingSink(LogLevel least) : least_(least) {}
  bool wants(LogLevel level) const noexcept override { return level >= least_; }
  void write(const LogRecord& record) noexcept override {
    std::string line = std::string(to_string(record.level)) + " " + std::string(record.room) + "/" +
                       std::string(record.subject) + ": " + std::string(record.message);
    if (record.fields) {
      for (const LogField& field : *record.fields) line += " " + field.key + "=" + field.value;
    }
    lines.push_back(std::move(line));
    times.push_back(record.time);
    had_fields.push_back(record.fields != nullptr);
  }
  void flush() noexcept override {}

  std::vector<std::string> lines;
  std::vector<WallTime> times;
  std::vector<bool> had_fields;

 private:
  LogLevel least_;
};

TEST(Logger, HandsTheSinkRoomSubjectMessageAndFields) {
  RecordingSink sink{LogLevel::debug};
  const Logger log{sink, "pool"};
  log.warn("main", "refused", {{"host", "db2"}, {"port", "5432"}});
  log.debug("main", "dialing");
  log.info("main", "open");
  log.error("main", "gone");
  EXPECT_EQ(sink.lines,
            (std::vector<std::string>{"warn pool/main: refused host=db2 port=5432", "debug pool/main: dialing",
                                      "info pool/main: open", "error pool/main: gone"}));
  EXPECT_EQ(sink.had_fields, (std::vector<bool>{true, false, false, false}));
}

TEST(Logger, DoesNotCallTheSinkForWhatItDoesNotWant) {
  RecordingSink sink{LogLevel::warn};
  const Logger log{sink, "pool"};
  log.debug("main", "a");
  log.info("main", "b");
  log.warn("main", "c");
  EXPECT_EQ(sink.lines, std::vector<std::string>{"warn pool/main: c"});
}

TEST(Logger, StampsARecordWithTheTimeItWasWritten) {
  RecordingSink sink{LogLevel::debug};
  const auto before = std::chrono::system_clock::now();
  Logger{sink, "pool"}.info("main", "open");
  const auto after = std::chrono::system_clock::now();
  ASSERT_EQ(sink.times.size(), 1U);
  EXPECT_GE(sink.times[0], before);
  EXPECT_LE(sink.times[0], after);
}

TEST(Logger, OfAnotherRoomSpeaksToTheSameSink) {
  RecordingSink sink{LogLevel::debug};
  const Logger log{sink, "pool"};
  log.named("git").info("monitor", "head moved");
  EXPECT_EQ(&log.named("git").sink(), &log.sink());
  EXPECT_EQ(sink.lines, std::vector<std::string>{"info git/monitor: head moved"});
}

TEST(Logger, IsSilentUntilItIsGivenASink) {
  const Logger log;
  EXPECT_EQ(&log.sink(), &silent_log());
  for (const LogLevel level : {LogLevel::debug, LogLevel::info, LogLevel::warn, LogLevel::error}) {
    EXPECT_FALSE(log.sink().wants(level));
  }
  log.error("nobody", "hears this");
}

TEST(LogLevel, IsWrittenInLowerCase) {
  EXPECT_EQ(to_string(LogLevel::debug), "debug");
  EXPECT_EQ(to_string(LogLevel::info), "info");
  EXPECT_EQ(to_string(LogLevel::warn), "warn");
  EXPECT_EQ(to_string(LogLevel::error), "error");
}

}  // namespace
}  // namespace opi
