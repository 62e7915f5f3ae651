#pragma once
/// @file
/// What the kernel says of this process.

#include <cstdint>

namespace opi::http {

/// Zero where the kernel did not say.
struct ProcessStats {
  double cpu_seconds = 0;         ///< user and system, all threads
  double start_time_seconds = 0;  ///< since the epoch
  std::uint64_t resident_bytes = 0;
  std::uint64_t virtual_bytes = 0;
  std::uint64_t threads = 0;
  std::uint64_t open_descriptors = 0;
  std::uint64_t max_descriptors = 0;
};

/// Reads /proc/self (proc(5)): memory of the kernel, no disk. Safe from any thread. Never fails: what cannot be read is
/// 0.
ProcessStats process_stats() noexcept;

}  // namespace opi::http
