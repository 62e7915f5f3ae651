#pragma once
/// @file
/// A client of the server under test: raw bytes out, responses in, over a stream in memory.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aio/byte_stream.hpp"
#include "http/server.hpp"
#include "support/run_coroutine.hpp"

namespace opi::http::testing {

/// A response as it came over the wire; header names in lower case.
struct Answer {
  int status = 0;
  std::map<std::string, std::string> headers;
  std::string body;
};

/// Takes responses off a text. Bodies by content-length; none behind `heads` and 1xx, 204, 304.
inline std::vector<Answer> answers_in(std::string_view text, bool heads = false) {
  std::vector<Answer> answers;
  while (!text.empty()) {
    Answer answer;
    const auto end = text.find("\r\n\r\n");
    if (end == std::string_view::npos || !text.starts_with("HTTP/1.1 ")) {
      ADD_FAILURE() << "not a response: " << text;
      return answers;
    }
    answer.status = std::stoi(std::string(text.substr(9, 3)));
    std::string_view head = text.substr(0, end + 2);
    head.remove_prefix(head.find("\r\n") + 2);
    while (!head.empty()) {
      const auto line = head.substr(0, head.find("\r\n"));
      head.remove_prefix(line.size() + 2);
      const auto colon = line.find(": ");
      EXPECT_TRUE(answer.headers.emplace(line.substr(0, colon), line.substr(colon + 2)).second) << "twice: " << line;
    }
    text.remove_prefix(end + 4);
    const auto length = answer.headers.find("content-length");
    if (!heads && length != answer.headers.end()) {
      const std::size_t size = std::stoul(length->second);
      EXPECT_LE(size, text.size()) << "a response was cut off";
      answer.body = std::string(text.substr(0, size));
      text.remove_prefix(std::min(size, text.size()));
    }
    answers.push_back(std::move(answer));
  }
  return answers;
}

inline Task<std::string> read_to_end(aio::ByteStream* stream) {
  std::string text;
  std::array<std::byte, 1000> buffer{};
  for (;;) {
    const auto got = co_await stream->read_some(buffer);
    if (!got || *got == 0) co_return text;
    text.append(reinterpret_cast<const char*>(buffer.data()), *got);
  }
}

/// Until `text` stands in what was read.
inline Task<std::string> read_until(aio::ByteStream* stream, std::string text) {
  std::string all;
  std::array<std::byte, 1> buffer{};
  while (all.find(text) == std::string::npos) {
    const auto got = co_await stream->read_some(buffer);
    if (!got || *got == 0) co_return all;
    all += static_cast<char>(buffer[0]);
  }
  co_return all;
}

inline Task<Result<>> write_pieces(aio::ByteStream* stream, std::vector<std::string> pieces) {
  for (const std::string& piece : pieces) {
    auto written = co_await stream->write_all(aio::bytes_of(piece));
    if (!written) co_return written;
  }
  co_return Result<>{};
}

/// Sends, ends its own direction, and reads everything.
inline Task<std::string> send_and_end(aio::ByteStream* stream, std::vector<std::string> pieces) {
  (void)co_await write_pieces(stream, std::move(pieces));
  (void)co_await stream->shutdown();
  co_return co_await read_to_end(stream);
}

/// Sends, and reads until the server ends the connection.
inline Task<std::string> send_and_stay(aio::ByteStream* stream, std::vector<std::string> pieces) {
  (void)co_await write_pieces(stream, std::move(pieces));
  co_return co_await read_to_end(stream);
}

}  // namespace opi::http::testing
