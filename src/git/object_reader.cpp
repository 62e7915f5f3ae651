#include "git/object_reader.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>
#include <charconv>
#include <csignal>
#include <utility>

#include "aio/with_deadline.hpp"
#include "git/git_output.hpp"

namespace opi::git {

namespace {

constexpr std::size_t line_max = 256;             ///< an id, a type and a size
constexpr std::size_t read_size = 64U << 10U;     ///< the capacity of a pipe
constexpr std::size_t keep_capacity = 1U << 20U;  ///< a larger buffer is given back after a question

std::unexpected<Error> damaged(std::string what) {
  return failure(Error(ErrorKind::internal, std::move(what)).with_code(std::string(damaged_code)));
}

}  // namespace

struct ObjectReader::Answer {
  std::optional<ObjectInfo> info;
  std::string content = {};
};

ObjectReader::ObjectReader(std::function<aio::ChildSettings()> settings) : settings_(std::move(settings)) {}

Result<std::optional<ObjectInfo>> parse_object_info(std::string_view line, std::string_view id) {
  const auto strange = [] { return failure(ErrorKind::internal, "git cat-file printed something unknown"); };
  if (!line.starts_with(id) || line.size() <= id.size() || line[id.size()] != ' ') return strange();
  line.remove_prefix(id.size() + 1);
  if (line == "missing") return std::nullopt;
  const auto space = line.find(' ');
  if (space == std::string_view::npos || space == 0) return strange();
  ObjectInfo info{.type = std::string(line.substr(0, space))};
  line.remove_prefix(space + 1);
  const auto [end, code] = std::from_chars(line.data(), line.data() + line.size(), info.size);
  if (code != std::errc() || end != line.data() + line.size()) return strange();
  return info;
}

Task<Result<>> ObjectReader::read_more(std::size_t wanted) {
  if (buffer_.size() - used_ >= wanted) co_return Result<>{};
  buffer_.erase(0, std::exchange(used_, 0));
  while (buffer_.size() < wanted) {
    const std::size_t before = buffer_.size();
    buffer_.resize(std::max(wanted, before + read_size));
    const auto [ec, size] = co_await child_->output().async_read_some(
        asio::buffer(buffer_.data() + before, buffer_.size() - before), as_result);
    buffer_.resize(before + (ec ? 0 : size));
    if (ec == asio::error::operation_aborted) co_return failure(ErrorKind::cancelled, "cancelled");
    if (ec) co_return damaged("git cat-file ended: unable to read an object");
  }
  co_return Result<>{};
}

Task<Result<std::string>> ObjectReader::read_line() {
  for (;;) {
    if (const auto end = buffer_.find('\n', used_); end != std::string::npos) {
      std::string line = buffer_.substr(used_, end - used_);
      used_ = end + 1;
      co_return line;
    }
    const std::size_t have = buffer_.size() - used_;
    if (have > line_max) co_return failure(ErrorKind::internal, "git cat-file printed something unknown");
    if (auto more = co_await read_more(have + 1); !more) co_return failure(std::move(more).error());
  }
}

/// With --buffer the child reads every command before it answers the first, so neither side waits for the other.
Task<Result<std::vector<ObjectReader::Answer>>> ObjectReader::converse(std::string input, std::size_t count,
                                                                       bool with_content, std::size_t bytes_max) {
  const auto [ec, written] = co_await asio::async_write(child_->input(), asio::buffer(input), as_result);
  if (ec == asio::error::operation_aborted) co_return failure(ErrorKind::cancelled, "cancelled");
  if (ec) co_return damaged("git cat-file ended: unable to read an object");
  std::vector<Answer> answers;
  answers.reserve(count);
  std::size_t bytes = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto command = std::string_view(input).substr(at, input.find('\n', at) - at);
    at += command.size() + 1;
    auto line = co_await read_line();
    if (!line) co_return failure(std::move(line).error());
    auto info = parse_object_info(*line, command.substr(command.find(' ') + 1));
    if (!info) co_return failure(std::move(info).error());
    Answer answer{.info = *std::move(info)};
    if (with_content) {
      if (!answer.info) co_return damaged("an object is missing in the mirror");
      const std::size_t size = answer.info->size;
      bytes += size;
      if (bytes > bytes_max) co_return failure(ErrorKind::exhausted, "objects are larger than they were said to be");
      if (auto more = co_await read_more(size + 1); !more) co_return failure(std::move(more).error());
      answer.content = buffer_.substr(used_, size);
      used_ += size + 1;
    }
    answers.push_back(std::move(answer));
  }
  if (buffer_.capacity() > keep_capacity && used_ == buffer_.size()) {
    buffer_ = std::string();
    used_ = 0;
  }
  co_return answers;
}

Task<Result<std::vector<ObjectReader::Answer>>> ObjectReader::ask(std::string command, std::vector<std::string> ids,
                                                                  std::size_t bytes_max, SteadyTime deadline) {
  if (ids.empty()) co_return std::vector<Answer>{};
  std::string input;
  for (const auto& id : ids) {
    if (!is_object_id(id)) co_return failure(ErrorKind::invalid, "an object has no id");
    input += command + " " + id + "\n";
  }
  input += "flush\n";
  if (!child_) {
    auto child = aio::ChildProcess::start(co_await asio::this_coro::executor, settings_());
    if (!child) co_return failure(std::move(child).error());
    child_.emplace(*std::move(child));
  }
  auto answers = co_await aio::with_deadline(converse(std::move(input), ids.size(), command == "contents", bytes_max),
                                             deadline, "git cat-file did not answer in time");
  if (!answers) {
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await close();
    co_await asio::this_coro::throw_if_cancelled(true);
  }
  co_return answers;
}

Task<Result<std::vector<std::optional<ObjectInfo>>>> ObjectReader::describe(std::vector<std::string> ids,
                                                                            SteadyTime deadline) {
  auto answers = co_await ask("info", std::move(ids), 0, deadline);
  if (!answers) co_return failure(std::move(answers).error());
  std::vector<std::optional<ObjectInfo>> infos;
  infos.reserve(answers->size());
  for (auto& answer : *answers) infos.push_back(std::move(answer.info));
  co_return infos;
}

Task<Result<std::vector<std::string>>> ObjectReader::contents(std::vector<std::string> ids, std::size_t bytes_max,
                                                              SteadyTime deadline) {
  auto answers = co_await ask("contents", std::move(ids), bytes_max, deadline);
  if (!answers) co_return failure(std::move(answers).error());
  std::vector<std::string> contents;
  contents.reserve(answers->size());
  for (auto& answer : *answers) contents.push_back(std::move(answer.content));
  co_return contents;
}

Task<> ObjectReader::close() {
  buffer_ = std::string();
  used_ = 0;
  if (!child_) co_return;
  (void)co_await child_->end(std::chrono::milliseconds(0), SIGTERM);
  child_.reset();
}

}  // namespace opi::git
