#pragma once
/// @file
/// age files of any size in constant memory: bytes go in as they come, sealed or opened bytes come out.

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/secret_string.hpp"
#include "secrets/age_file_key.hpp"
#include "secrets/age_payload.hpp"

namespace opi::secrets {

enum class AgeForm { binary, armored };

/// Wraps binary bytes in armor as they come. Not synchronised.
class AgeArmorWriter {
 public:
  void write(std::string_view bytes, std::string& into);
  void finish(std::string& into);

 private:
  void line(std::string_view bytes, std::string& into);
  std::string held_;  ///< less than one line
  bool begun_ = false;
};

/// Unwraps armor as it comes; the rules are those of age_dearmor. Not synchronised.
class AgeArmorReader {
 public:
  /// Appends what the whole lines among `text` hold. Errors: invalid, with the reason.
  Result<> read(std::string_view text, std::string& into);
  Result<> finish(std::string& into);

 private:
  enum class State { before, inside, after };
  Result<> take_line(std::string_view line, std::string& into);
  std::string held_;  ///< of a line that has not ended
  State state_ = State::before;
  std::size_t outer_space_ = 0;
  bool short_line_seen_ = false;
};

/// Seals a stream. Holds at most one chunk (64 KiB). Not synchronised.
class AgeEncryptor {
 public:
  /// Errors: those of make_age_header.
  static Result<AgeEncryptor> create(std::span<const AgeRecipient> recipients, AgeForm form);
  static Result<AgeEncryptor> create(const SecretString& passphrase, unsigned log_n, AgeForm form);

  /// Appends what is ready to `into`: header first, then whole chunks.
  void write(std::string_view plaintext, std::string& into);
  /// Appends the rest; nothing may be written after it.
  void finish(std::string& into);

 private:
  AgeEncryptor(std::string header, const AgeFileKey& file_key, AgeForm form);
  void put(bool all, std::string& into);
  std::string ready_;  ///< sealed bytes that wait for the armor
  AgePayloadSealer sealer_;
  std::optional<AgeArmorWriter> armor_;
  std::string held_;  ///< plaintext of the chunk that may be the last one
};

/// Opens a stream, binary or armored: which one shows in its first bytes. What is appended has been authenticated, but
/// only finish() says that nothing is missing. Holds the header (at most 1 MiB) and one chunk. Not synchronised.
class AgeDecryptor {
 public:
  /// What `openers` names outlives the first write that completes the header.
  explicit AgeDecryptor(AgeOpeners openers) : openers_(std::move(openers)) {}

  /// Appends the plaintext of whole chunks to `into`. After an error nothing more may be written.
  /// Errors: those of parse_age_header, open_age_header and age_dearmor; invalid for a damaged chunk.
  Result<> write(std::string_view file, std::string& into);
  /// Errors: as of write, and invalid for a file that was cut short.
  Result<> finish(std::string& into);

 private:
  Result<> take(std::string_view text, std::string& into);
  Result<> take_binary(std::string_view bytes, std::string& into);
  Result<> open_header(bool all);
  Result<> open_chunks(bool all, std::string& into);
  AgeOpeners openers_;
  std::optional<AgeArmorReader> armor_;
  bool form_known_ = false;
  std::string start_;  ///< too little to tell the form
  std::string held_;   ///< of the header, then of the payload
  SecretString file_key_;
  std::optional<AgePayloadOpener> payload_;
};

}  // namespace opi::secrets
