#pragma once
/// @file
/// Where the log goes: columns for a person on a terminal, JSON lines for a machine.

#include <memory>
#include <string>

#include "app/settings.hpp"
#include "base/log.hpp"

namespace opi::app {

/// A sink on standard error. Safe from any thread; a full pipe drops nothing (it waits), a closed one drops everything.
/// Colours only on a terminal and without NO_COLOR. Control characters of messages are escaped, so that hostile input
/// cannot forge lines.
std::unique_ptr<LogSink> make_log_sink(LogFormat format, LogLevel least);

/// The two forms of one record, without the final newline; pure. Fields repeat for machines what the message says, so
/// the text form leaves them out.
std::string format_text(const LogRecord& record, bool colour);
std::string format_json(const LogRecord& record);

}  // namespace opi::app
