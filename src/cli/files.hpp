#pragma once
/// @file
/// Reading, streaming and replacing files, standard input and output among them, for commands that work on files.

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace opi::cli {

/// A file descriptor that is closed when it goes; those of the process's own streams are left open. Move-only.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1, bool owned = true) noexcept : fd_(fd), owned_(owned) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close(); }

  int get() const noexcept { return fd_; }
  void close() noexcept;

 private:
  int fd_;
  bool owned_;
};

/// Opens a file to read it; empty or "-" is standard input. Errors: not_found, denied, internal, naming the path.
Result<Descriptor> open_input(const std::string& path);
/// Everything that is left to read. Errors: exhausted (more than `most` bytes), internal.
Result<std::string> read_all(int fd, std::size_t most);
Result<std::string> read_file(const std::string& path, std::size_t most);

/// Reads to the end in pieces of up to 64 KiB · 16 into one buffer that is used again and again, and wiped at the end.
Result<> each_piece(int fd, const std::function<Result<>(std::string_view)>& take);

/// Where output goes: standard output for an empty path or "-", else a file that is made (or emptied) at the first
/// write, so that a command that fails at once leaves nothing behind.
class Output {
 public:
  explicit Output(std::string path) : path_(std::move(path)) {}
  bool is_standard() const noexcept { return path_.empty() || path_ == "-"; }
  /// Errors: denied, internal, naming the path.
  Result<> write(std::string_view bytes);
  /// Makes the file if nothing was written, and closes it. Errors: as of write.
  Result<> finish();

 private:
  Result<> open();
  std::string path_;
  Descriptor file_;
  bool open_ = false;
};

Result<> write_all(int fd, std::string_view bytes);

/// Makes a file that was not there, for its owner alone. Errors: conflict (it is there), denied, internal.
Result<> write_new_private_file(const std::string& path, std::string_view bytes);

/// Puts `bytes` in the place of a file, at once or not at all; its mode stays. Errors: denied, internal.
Result<> replace_file(const std::string& path, std::string_view bytes);

}  // namespace opi::cli
