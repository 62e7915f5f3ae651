// The text form of an age file: strict base64 between two marker lines.
#include <algorithm>

#include "secrets/age.hpp"
#include "secrets/age_stream.hpp"
#include "secrets/base64.hpp"

namespace opi::secrets {
namespace {

constexpr std::string_view begin_line = "-----BEGIN AGE ENCRYPTED FILE-----";
constexpr std::string_view end_line = "-----END AGE ENCRYPTED FILE-----";
constexpr std::size_t columns = 64;
constexpr std::size_t line_bytes = columns / 4 * 3;
constexpr std::size_t outer_space_max = 1024;

bool is_space(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

bool all_space(std::string_view text) noexcept {
  return std::ranges::all_of(text, is_space);
}

std::unexpected<Error> refuse(const char* reason) {
  return failure(ErrorKind::invalid, std::string("age armor: ") + reason);
}

}  // namespace

std::string age_armor(std::string_view binary) {
  std::string armored;
  armored.reserve(binary.size() / line_bytes * (columns + 1) + 2 * columns);
  AgeArmorWriter writer;
  writer.write(binary, armored);
  writer.finish(armored);
  return armored;
}

bool is_age_armor(std::string_view text) noexcept {
  const auto* first = std::ranges::find_if_not(text, is_space);
  return text.substr(static_cast<std::size_t>(first - text.begin())).starts_with(begin_line);
}

void AgeArmorWriter::line(std::string_view bytes, std::string& into) {
  into.append(base64_encode(bytes)).push_back('\n');
}

void AgeArmorWriter::write(std::string_view bytes, std::string& into) {
  if (!begun_) into.append(begin_line).push_back('\n');
  begun_ = true;
  if (!held_.empty()) {
    const std::string_view more = bytes.substr(0, line_bytes - held_.size());
    held_.append(more);
    bytes.remove_prefix(more.size());
    if (held_.size() < line_bytes) return;
    line(held_, into);
    held_.clear();
  }
  for (; bytes.size() >= line_bytes; bytes.remove_prefix(line_bytes)) line(bytes.substr(0, line_bytes), into);
  held_.assign(bytes);
}

void AgeArmorWriter::finish(std::string& into) {
  write({}, into);
  if (!held_.empty()) line(held_, into);
  into.append(end_line).push_back('\n');
}

Result<> AgeArmorReader::read(std::string_view text, std::string& into) {
  while (true) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) break;
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (!held_.empty()) {
      held_.append(line);
      line = held_;
    }
    auto taken = take_line(line, into);
    held_.clear();
    if (!taken) return taken;
  }
  held_.append(text);
  const std::size_t longest = state_ == State::inside ? columns + 2 : outer_space_max + begin_line.size() + 2;
  if (held_.size() > longest)
    return refuse(state_ == State::inside ? "a line longer than 64 columns" : "too long a line");
  return {};
}

Result<> AgeArmorReader::take_line(std::string_view line, std::string& into) {
  const std::size_t size = line.size() + 1;
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (state_ != State::inside && all_space(line)) {
    outer_space_ += size;
    if (outer_space_ <= outer_space_max) return {};
    return refuse(state_ == State::before ? "too much white space before the BEGIN line"
                                          : "too much white space after the END line");
  }
  if (state_ == State::after) return refuse("text after the END line");
  if (state_ == State::before) {
    if (line != begin_line) return refuse("text before the BEGIN line");
    state_ = State::inside;
    outer_space_ = 0;
    return {};
  }
  if (line == end_line) {
    state_ = State::after;
    return {};
  }
  if (short_line_seen_) return refuse("a line after one shorter than 64 columns");
  if (line.empty()) return refuse("an empty line");
  if (line.size() > columns) return refuse("a line longer than 64 columns");
  const auto decoded = base64_decode(line);
  if (!decoded) return refuse(decoded.error().message.c_str());
  short_line_seen_ = line.size() < columns || line.ends_with('=');
  into += *decoded;
  return {};
}

Result<> AgeArmorReader::finish(std::string& into) {
  if (!held_.empty()) {
    const std::string line = std::move(held_);
    held_.clear();
    if (state_ == State::after && all_space(line)) {
      if (outer_space_ + line.size() > outer_space_max) return refuse("too much white space after the END line");
      return {};
    }
    if (auto taken = take_line(line, into); !taken) return taken;
  }
  if (state_ == State::before) return refuse("no BEGIN line");
  if (state_ == State::inside) return refuse("no END line");
  return {};
}

Result<std::string> age_dearmor(std::string_view text) {
  std::string binary;
  binary.reserve(text.size() / 4 * 3);
  AgeArmorReader reader;
  if (auto read = reader.read(text, binary); !read) return failure(std::move(read.error()));
  if (auto read = reader.finish(binary); !read) return failure(std::move(read.error()));
  return binary;
}

}  // namespace opi::secrets
