#pragma once
/// @file
/// What a Pipeline has sent and has no answer to.

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "pg/pipeline.hpp"

namespace opi::pg {

/// One statement under way; enough to send it again.
struct PipelinedStatement {
  std::optional<Statement> statement = {};  ///< none: a deallocation of ours
  Params params = {};
  Pipeline::Completion done = {};
  std::string name = {};   ///< of the prepared statement it runs
  bool prepares = false;   ///< it is prepared in the same batch
  bool is_second = false;  ///< prepared and sent again after the first try found its statement useless
};

/// First in, first out, in a ring that grows and is used again: no allocation in the long run. One thread.
class PipelineQueue {
 public:
  bool empty() const noexcept { return count_ == 0; }
  std::size_t size() const noexcept { return count_; }
  PipelinedStatement& front() noexcept { return slots_[first_]; }

  void push(PipelinedStatement statement) {
    if (count_ == slots_.size()) grow();
    slots_[(first_ + count_) & (slots_.size() - 1)] = std::move(statement);
    ++count_;
  }
  PipelinedStatement pop() {
    PipelinedStatement taken = std::move(slots_[first_]);
    first_ = (first_ + 1) & (slots_.size() - 1);
    --count_;
    return taken;
  }

 private:
  void grow() {
    constexpr std::size_t size_first = 16;  // a power of two, always
    std::vector<PipelinedStatement> larger(slots_.empty() ? size_first : slots_.size() * 2);
    for (std::size_t at = 0; at < count_; ++at) {
      larger[at] = std::move(slots_[(first_ + at) & (slots_.size() - 1)]);
    }
    slots_ = std::move(larger);
    first_ = 0;
  }

  std::vector<PipelinedStatement> slots_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

}  // namespace opi::pg
