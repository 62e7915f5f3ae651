#include "git/signature.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <fstream>
#include <utility>
#include <vector>

#include "aio/subprocess.hpp"
#include "git/git_environment.hpp"

namespace opi::git {

namespace {

constexpr std::size_t output_max = 64U << 10U;

std::unexpected<Error> refused(std::string why) {
  return failure(ErrorKind::denied, std::move(why));
}

/// A file that is there while a program reads it.
class ShortFile {
 public:
  ShortFile(std::filesystem::path path, const std::string& text) : path_(std::move(path)) {
    std::ofstream file(path_, std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    written_ = static_cast<bool>(file);
  }
  ShortFile(const ShortFile&) = delete;
  ShortFile& operator=(const ShortFile&) = delete;
  ~ShortFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  bool written() const noexcept { return written_; }

 private:
  std::filesystem::path path_;
  bool written_ = false;
};

aio::Command command_of(std::vector<std::string> argv, const std::filesystem::path& directory, std::string input) {
  const std::string home = (directory / "home").string();
  return {.argv = std::move(argv),
          .environment = {path_entry(), "HOME=" + home, "GNUPGHOME=" + home, "LC_ALL=C", "TZ=UTC"},
          .directory = directory.string(),
          .input = std::move(input),
          .output_max = output_max};
}

Result<> check_readable(const std::string& file, std::string_view kind) {
  if (file.empty()) return refused(fmt::format("its signature is of {}, for which no keys are given", kind));
  if (!std::ifstream(file).good())
    return failure(ErrorKind::not_found, fmt::format("the keys for {} signatures cannot be read: {}", kind, file));
  return {};
}

std::string last_line(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  return clean_line(text.substr(text.rfind('\n') == std::string_view::npos ? 0 : text.rfind('\n') + 1), 200);
}

Task<Result<std::string>> check_ssh(SignedCommit commit, std::string signers, std::filesystem::path directory,
                                    std::string signature, SteadyTime deadline) {
  if (auto readable = check_readable(signers, "SSH"); !readable) co_return failure(std::move(readable).error());
  const std::string when =
      fmt::format("-Overify-time={:%Y%m%d%H%M%S}", fmt::gmtime(static_cast<std::time_t>(commit.committed)));
  auto found = co_await aio::run_command(
      command_of({"ssh-keygen", "-Y", "find-principals", "-f", signers, "-s", signature, when}, directory, {}),
      deadline);
  if (!found) co_return failure(std::move(found).error());
  const std::string principal = found->output.substr(0, found->output.find('\n'));
  if (found->exit_code != 0 || principal.empty()) co_return refused("its signer is not among the allowed ones");
  auto checked = co_await aio::run_command(
      command_of({"ssh-keygen", "-Y", "verify", "-n", "git", "-f", signers, "-I", principal, "-s", signature, when},
                 directory, std::move(commit.payload)),
      deadline);
  if (!checked) co_return failure(std::move(checked).error());
  if (checked->exit_code != 0)
    co_return refused(fmt::format("its signature does not hold: {}",
                                  last_line(checked->output.empty() ? checked->error_output : checked->output)));
  co_return clean_line(principal, 200);
}

Task<Result<std::string>> check_openpgp(SignedCommit commit, std::string keyring, std::filesystem::path directory,
                                        std::string signature, SteadyTime deadline) {
  if (auto readable = check_readable(keyring, "OpenPGP"); !readable) co_return failure(std::move(readable).error());
  auto checked = co_await aio::run_command(
      command_of(
          {"gpgv", "--status-fd", "1", "--keyring", std::filesystem::absolute(keyring).string(), "--", signature, "-"},
          directory, std::move(commit.payload)),
      deadline);
  if (!checked) co_return failure(std::move(checked).error());
  auto signer = parse_gpgv_status(checked->output);
  if (signer && checked->exit_code != 0)
    co_return refused(fmt::format("its signature does not hold: {}", last_line(checked->error_output)));
  co_return signer;
}

}  // namespace

Result<std::string> parse_gpgv_status(std::string_view output) {
  constexpr std::string_view prefix = "[GNUPG:] ";
  std::string good;
  std::string fingerprint;
  std::size_t signatures = 0;
  std::string bad;
  while (!output.empty()) {
    std::string_view line = output.substr(0, output.find('\n'));
    output.remove_prefix(std::min(output.size(), line.size() + 1));
    if (!line.starts_with(prefix)) continue;
    line.remove_prefix(prefix.size());
    const std::string_view word = line.substr(0, line.find(' '));
    const std::string_view rest = line.substr(std::min(line.size(), word.size() + 1));
    if (word == "NEWSIG") ++signatures;
    if (word == "GOODSIG") good = rest.substr(std::min(rest.size(), rest.find(' ') + 1));
    if (word == "VALIDSIG") fingerprint = rest.substr(0, rest.find(' '));
    if (word == "BADSIG") bad = "its signature does not hold";
    if (word == "NO_PUBKEY" || (word == "ERRSIG" && bad.empty())) bad = "its signer is not in the keyring";
    if (word == "EXPKEYSIG" || word == "EXPSIG") bad = "the key of its signer, or its signature, has expired";
    if (word == "REVKEYSIG") bad = "the key of its signer is revoked";
  }
  if (!bad.empty()) return refused(std::move(bad));
  if (signatures != 1 || good.empty() || fingerprint.empty()) return refused("it has no signature that can be judged");
  return fmt::format("{} {}", fingerprint, clean_line(good, 150));
}

Task<Result<std::string>> check_signature(SignedCommit commit, Verification verification,
                                          std::filesystem::path directory, SteadyTime deadline) {
  if (commit.signature.empty()) co_return refused("it is not signed");
  const bool ssh = commit.signature.starts_with("-----BEGIN SSH SIGNATURE-----");
  const bool openpgp = commit.signature.starts_with("-----BEGIN PGP SIGNATURE-----");
  if (!ssh && !openpgp) co_return refused("its signature is neither of SSH nor of OpenPGP");
  const std::filesystem::path path = directory / "signature";
  const ShortFile file(path, commit.signature);
  if (!file.written()) co_return failure(ErrorKind::exhausted, "cannot write " + path.string());
  if (ssh)
    co_return co_await check_ssh(std::move(commit), verification.allowed_signers_file, directory, path.string(),
                                 deadline);
  co_return co_await check_openpgp(std::move(commit), verification.openpgp_keyring_file, directory, path.string(),
                                   deadline);
}

}  // namespace opi::git
