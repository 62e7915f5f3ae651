#include "secrets/age_stream.hpp"

#include <algorithm>

#include "secrets/age_header.hpp"

namespace opi::secrets {
namespace {

constexpr std::size_t header_bytes_max = 1U << 20U;
constexpr std::size_t form_shows_in = 2048;  // white space before an armor, and its first line

/// The end of a header is the line that starts with "---"; nothing before it can.
bool header_ends(std::string_view bytes) noexcept {
  const std::size_t mark = bytes.find("\n---");
  return mark != std::string_view::npos && bytes.find('\n', mark + 1) != std::string_view::npos;
}

std::unexpected<Error> damaged() {
  return failure(ErrorKind::invalid, "age payload: damaged, cut short, or followed by something else");
}

}  // namespace

AgeEncryptor::AgeEncryptor(std::string header, const AgeFileKey& file_key, AgeForm form)
    : ready_(std::move(header)), sealer_(file_key.view(), ready_) {
  if (form == AgeForm::armored) armor_.emplace();
}

Result<AgeEncryptor> AgeEncryptor::create(std::span<const AgeRecipient> recipients, AgeForm form) {
  AgeFileKey file_key;
  auto header = make_age_header(recipients, file_key);
  if (!header) return failure(std::move(header.error()));
  return AgeEncryptor(std::move(*header), file_key, form);
}

Result<AgeEncryptor> AgeEncryptor::create(const SecretString& passphrase, unsigned log_n, AgeForm form) {
  AgeFileKey file_key;
  auto header = make_age_header(passphrase, log_n, file_key);
  if (!header) return failure(std::move(header.error()));
  return AgeEncryptor(std::move(*header), file_key, form);
}

void AgeEncryptor::write(std::string_view plaintext, std::string& into) {
  std::string& sealed = armor_ ? ready_ : into;
  if (!armor_ && !ready_.empty()) {
    into += ready_;
    ready_.clear();
  }
  // A chunk is sealed once something follows it, for only then is it known not to be the last one.
  if (!held_.empty() && held_.size() + plaintext.size() > age_chunk_bytes) {
    const std::size_t missing = age_chunk_bytes - held_.size();
    held_.append(plaintext.substr(0, missing));
    plaintext.remove_prefix(missing);
    sealer_.seal(held_, false, sealed);
    wipe(held_);
  }
  while (held_.empty() && plaintext.size() > age_chunk_bytes) {
    sealer_.seal(plaintext.substr(0, age_chunk_bytes), false, sealed);
    plaintext.remove_prefix(age_chunk_bytes);
  }
  if (!plaintext.empty()) held_.reserve(age_chunk_bytes);  // no growth: nothing is left unwiped
  held_.append(plaintext);
  put(false, into);
}

void AgeEncryptor::put(bool all, std::string& into) {
  if (armor_) {
    armor_->write(ready_, into);
    if (all) armor_->finish(into);
  } else {
    into += ready_;
  }
  ready_.clear();
}

void AgeEncryptor::finish(std::string& into) {
  sealer_.seal(held_, true, ready_);
  wipe(held_);
  put(true, into);
}

Result<> AgeDecryptor::write(std::string_view file, std::string& into) {
  if (form_known_) return take(file, into);
  start_.append(file);
  const bool blank = start_.find_first_not_of(" \t\r\n\v\f") == std::string::npos;
  if (blank && start_.size() < form_shows_in) return {};
  constexpr std::string_view intro = age_intro;
  const bool may_be_armor = start_.find_first_not_of(" \t\r\n\v\f") != std::string::npos &&
                            start_[start_.find_first_not_of(" \t\r\n\v\f")] == '-';
  if (!may_be_armor && start_.size() < intro.size() && intro.starts_with(start_)) return {};
  form_known_ = true;
  if (may_be_armor) armor_.emplace();
  const std::string text = std::move(start_);
  return take(text, into);
}

Result<> AgeDecryptor::take(std::string_view text, std::string& into) {
  if (!armor_) return take_binary(text, into);
  std::string bytes;
  const auto read = armor_->read(text, bytes);
  auto taken = take_binary(bytes, into);  // what came before a damaged line is good
  return taken && !read ? read : taken;
}

Result<> AgeDecryptor::take_binary(std::string_view bytes, std::string& into) {
  if (payload_ && !held_.empty() && held_.size() <= age_sealed_chunk_bytes &&
      held_.size() + bytes.size() > age_sealed_chunk_bytes) {
    // Something follows the chunk that was begun, so it is not the last one.
    const std::size_t missing = age_sealed_chunk_bytes - held_.size();
    held_.append(bytes.substr(0, missing));
    bytes.remove_prefix(missing);
    if (!payload_->open(held_, false, into)) return damaged();
    held_.clear();
  }
  if (held_.empty() && payload_) {
    // The common case without a copy: whole chunks, of which the last is not the file's last.
    while (bytes.size() > age_sealed_chunk_bytes) {
      if (!payload_->open(bytes.substr(0, age_sealed_chunk_bytes), false, into)) return damaged();
      bytes.remove_prefix(age_sealed_chunk_bytes);
    }
  }
  held_.append(bytes);
  if (file_key_.empty()) {
    if (auto opened = open_header(false); !opened) return opened;
  }
  return open_chunks(false, into);
}

Result<> AgeDecryptor::open_header(bool all) {
  if (!all && !header_ends(held_) && held_.size() <= header_bytes_max) {
    // Something that is no age file at all need not be read to its end.
    const bool may_be = std::string_view(held_).substr(0, age_intro.size()) == age_intro.substr(0, held_.size());
    if (may_be) return {};
  }
  const auto header = parse_age_header(held_);
  if (!header) return failure(header.error());
  auto file_key = open_age_header(*header, openers_);
  if (!file_key) return failure(std::move(file_key.error()));
  file_key_ = std::move(*file_key);
  held_.erase(0, held_.size() - header->payload.size());
  return {};
}

Result<> AgeDecryptor::open_chunks(bool all, std::string& into) {
  if (file_key_.empty()) return {};
  std::string_view rest = held_;
  if (!payload_) {
    if (rest.size() < age_payload_nonce_bytes) {
      if (!all) return {};
      return failure(ErrorKind::invalid, "age payload: cut short before the first chunk");
    }
    payload_.emplace(file_key_.reveal(), rest.substr(0, age_payload_nonce_bytes));
    rest.remove_prefix(age_payload_nonce_bytes);
  }
  bool good = true;
  while (good && rest.size() > age_sealed_chunk_bytes) {
    good = payload_->open(rest.substr(0, age_sealed_chunk_bytes), false, into);
    if (good) rest.remove_prefix(age_sealed_chunk_bytes);
  }
  if (good && all) {
    good = payload_->open(rest, true, into);
    rest = {};
  }
  if (!good) return damaged();
  held_.erase(0, held_.size() - rest.size());
  return {};
}

Result<> AgeDecryptor::finish(std::string& into) {
  if (!form_known_) {
    form_known_ = true;
    const std::string text = std::move(start_);
    if (auto taken = take(text, into); !taken) return taken;
  }
  if (armor_) {
    std::string bytes;
    const auto read = armor_->finish(bytes);
    if (auto taken = take_binary(bytes, into); !taken) return taken;
    if (!read) return read;
  }
  if (file_key_.empty()) {
    if (auto opened = open_header(true); !opened) return opened;
  }
  return open_chunks(true, into);
}

}  // namespace opi::secrets
