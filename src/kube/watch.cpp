#include "kube/watch.hpp"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "aio/with_deadline.hpp"
#include "base/clock.hpp"
#include "kube/api_error.hpp"

namespace opi::kube {

namespace {

namespace json = boost::json;

}  // namespace

WatchLine parse_watch_line(std::string_view line) {
  WatchLine parsed;
  parsed.error = Error(ErrorKind::internal, "the API server sent no watch event");
  boost::system::error_code error;
  json::value value = json::parse(line, error);
  auto* event = error ? nullptr : value.if_object();
  auto* type = event != nullptr ? event->if_contains("type") : nullptr;
  auto* object = event != nullptr ? event->if_contains("object") : nullptr;
  if (type == nullptr || !type->is_string() || object == nullptr || !object->is_object()) return parsed;
  const std::string_view kind = type->get_string();
  if (kind == "ERROR") {
    const auto* code = object->get_object().if_contains("code");
    const int status = code != nullptr && code->is_int64() ? static_cast<int>(code->get_int64()) : 500;
    parsed.error = error_of({.status = status, .body = json::serialize(*object)});
    parsed.kind = status == 410 ? WatchLine::Kind::gone : WatchLine::Kind::failed;
    return parsed;
  }
  parsed.resource_version = metadata_text(object->get_object(), "resourceVersion");
  if (parsed.resource_version.empty()) return parsed;
  if (kind == "BOOKMARK") {
    parsed.kind = WatchLine::Kind::bookmark;
    return parsed;
  }
  if (kind == "ADDED") {
    parsed.change.kind = Changed::Kind::added;
  } else if (kind == "MODIFIED") {
    parsed.change.kind = Changed::Kind::modified;
  } else if (kind == "DELETED") {
    parsed.change.kind = Changed::Kind::deleted;
  } else {
    return parsed;
  }
  parsed.kind = WatchLine::Kind::change;
  parsed.change.object = std::move(object->get_object());
  return parsed;
}

Watch::Watch(Client& client, ResourceKind kind, WatchOptions options)
    : client_(client),
      kind_(kind),
      options_(std::move(options)),
      pause_({.first = std::chrono::milliseconds(50), .most = std::chrono::seconds(10), .jitter = 0.5},
             reinterpret_cast<std::uintptr_t>(this)) {}

void Watch::drop() noexcept {
  stream_.reset();
  pending_.clear();
}

std::optional<std::string> Watch::take_line() {
  const auto end = pending_.find('\n');
  if (end == std::string::npos) return std::nullopt;
  std::string line = pending_.substr(0, end);
  pending_.erase(0, end + 1);
  return line;
}

Task<Result<WatchEvent>> Watch::list(SteadyTime deadline) {
  auto listing = co_await client_.list(kind_, options_.name_space, options_.label_selector, deadline);
  if (!listing) co_return failure(std::move(listing).error());
  version_ = std::move(listing->resource_version);
  co_return Listed{std::move(listing->objects)};
}

/// More of the stream, opened where it is not. The end of a stream is no error.
Task<Result<>> Watch::read_more(SteadyTime deadline) {
  if (!stream_) {
    auto opened = co_await client_.open_watch(kind_, options_.name_space, options_.label_selector, version_,
                                              options_.server_timeout, deadline);
    if (!opened && has_status(opened.error(), 410)) {
      version_.clear();
      co_return Result<>{};
    }
    if (!opened) co_return failure(std::move(opened).error());
    stream_.emplace(std::move(*opened));
    heard_ = steady_now();
    silent_ = true;
  }
  const SteadyTime dead = heard_ + options_.silence_max;
  auto piece = co_await stream_->read(std::min(deadline, dead));
  if (piece && !piece->empty()) {
    heard_ = steady_now();
    silent_ = false;
    pause_.reset();
    pending_ += *piece;
    if (pending_.size() > options_.line_bytes_max && !pending_.contains('\n')) {
      drop();
      version_.clear();
      co_return failure(ErrorKind::exhausted, fmt::format("watching {}: an event is too long", kind_.plural));
    }
    co_return Result<>{};
  }
  // A read that ran out of time closed the stream; what is half read of a line comes again from `version_`.
  const bool mine = !piece && piece.error().kind == ErrorKind::timed_out && steady_now() >= deadline;
  const bool stopped = !piece && piece.error().kind == ErrorKind::cancelled;
  drop();
  if (mine || stopped) co_return failure(std::move(piece).error());
  // A server that ends every stream at once is not asked for the next one at once.
  if (silent_ && !co_await aio::sleep_until(std::min(deadline, steady_now() + pause_.next())))
    co_return failure(ErrorKind::cancelled, fmt::format("watching {} was cancelled", kind_.plural));
  co_return Result<>{};
}

Task<Result<WatchEvent>> Watch::next(SteadyTime deadline) {
  for (;;) {
    if (version_.empty()) {
      drop();
      co_return co_await list(deadline);
    }
    while (auto line = take_line()) {
      if (line->empty()) continue;
      WatchLine parsed = parse_watch_line(*line);
      if (parsed.kind == WatchLine::Kind::failed) {
        drop();
        co_return failure(std::move(parsed.error).while_doing(fmt::format("watching {}", kind_.plural)));
      }
      if (parsed.kind == WatchLine::Kind::gone) {
        version_.clear();
        break;
      }
      version_ = std::move(parsed.resource_version);
      if (parsed.kind == WatchLine::Kind::change) co_return std::move(parsed.change);
    }
    if (version_.empty()) continue;
    auto read = co_await read_more(deadline);
    if (!read) co_return failure(std::move(read).error());
  }
}

}  // namespace opi::kube
