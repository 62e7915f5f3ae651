#include "git/snapshot.hpp"

#include <utility>

namespace opi::git {

std::vector<std::vector<FileBlob>> in_batches(std::vector<FileBlob> files, std::size_t bytes_max) {
  std::vector<std::vector<FileBlob>> batches;
  std::size_t bytes = 0;
  for (auto& file : files) {
    if (batches.empty() || bytes + file.size > bytes_max) {
      batches.emplace_back();
      bytes = 0;
    }
    bytes += file.size;
    batches.back().push_back(std::move(file));
  }
  return batches;
}

}  // namespace opi::git
