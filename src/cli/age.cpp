#include "cli/age.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <optional>

#include "base/clock.hpp"
#include "cli/arguments.hpp"
#include "cli/files.hpp"
#include "cli/terminal.hpp"
#include "secrets/age.hpp"
#include "secrets/age_stream.hpp"
#include "secrets/password.hpp"

namespace opi::cli {
namespace {

constexpr std::size_t key_file_bytes_max = std::size_t{16} << 20U;

int explain(const Error& error) {
  std::cerr << "opi age: " << error.to_string() << '\n';
  return exit_failed;
}

std::unexpected<Error> refuse(std::string what) {
  return failure(ErrorKind::invalid, std::move(what));
}

Result<SecretString> ask_new_passphrase() {
  auto first = ask_secret("Enter passphrase (leave empty to have one made): ");
  if (!first) return first;
  if (first->empty()) {
    SecretString made = secrets::generate_password();
    const std::string line = fmt::format("The passphrase is \"{}\"\n", made.reveal());
    tell_terminal(line);
    return made;
  }
  const auto second = ask_secret("Confirm passphrase: ");
  if (!second) return failure(second.error());
  if (!(*first == *second)) return refuse("the passphrases are not the same");
  return first;
}

/// The identities of a file, which may be an age file of its own that a passphrase opens.
Result<std::vector<secrets::AgeIdentity>> read_identities(const std::string& path) {
  auto text = read_file(path, key_file_bytes_max);
  if (!text) return failure(std::move(text.error()));
  SecretString content = SecretString::take(std::move(*text));
  if (secrets::is_age_armor(content.reveal()) || content.reveal().starts_with("age-encryption.org/")) {
    const auto passphrase = ask_secret(fmt::format("Enter passphrase for identity file \"{}\": ", path));
    if (!passphrase) return failure(passphrase.error());
    auto opened = secrets::age_decrypt_with_passphrase(content.reveal(), *passphrase);
    if (!opened) return failure(std::move(opened.error()).while_doing(path));
    content = std::move(*opened);
  }
  auto identities = secrets::AgeIdentity::parse_all(content.reveal());
  if (!identities) return failure(std::move(identities.error()).while_doing(path));
  return identities;
}

Result<std::vector<secrets::AgeIdentity>> read_all_identities(const std::vector<std::string>& paths) {
  std::vector<secrets::AgeIdentity> all;
  for (const std::string& path : paths) {
    auto some = read_identities(path);
    if (!some) return some;
    std::ranges::move(*some, std::back_inserter(all));
  }
  return all;
}

Result<std::vector<secrets::AgeRecipient>> gather_recipients(const AgeArguments& arguments) {
  std::vector<secrets::AgeRecipient> all;
  for (const std::string& text : arguments.recipients) {
    auto recipient = secrets::AgeRecipient::parse(text);
    if (!recipient) return failure(std::move(recipient.error()));
    all.push_back(*recipient);
  }
  for (const std::string& path : arguments.recipient_files) {
    const auto text = read_file(path, key_file_bytes_max);
    if (!text) return failure(text.error());
    auto some = secrets::AgeRecipient::parse_all(*text);
    if (!some) return failure(std::move(some.error()).while_doing(path));
    std::ranges::move(*some, std::back_inserter(all));
  }
  const auto identities = read_all_identities(arguments.identity_files);
  if (!identities) return failure(identities.error());
  for (const auto& identity : *identities) all.push_back(identity.recipient());
  return all;
}

Result<secrets::AgeEncryptor> make_encryptor(const AgeArguments& arguments) {
  const auto form = arguments.armor ? secrets::AgeForm::armored : secrets::AgeForm::binary;
  const bool keys =
      !arguments.recipients.empty() || !arguments.recipient_files.empty() || !arguments.identity_files.empty();
  if (arguments.passphrase) {
    if (keys) return refuse("-p cannot be combined with -r, -R or -i");
    const auto passphrase = ask_new_passphrase();
    if (!passphrase) return failure(passphrase.error());
    return secrets::AgeEncryptor::create(*passphrase, secrets::age_scrypt_log_n, form);
  }
  if (!keys) return refuse("no recipient: use -r, -R, -i or -p");
  const auto recipients = gather_recipients(arguments);
  if (!recipients) return failure(recipients.error());
  return secrets::AgeEncryptor::create(*recipients, form);
}

Result<> check(const AgeArguments& arguments) {
  if (arguments.plugin.empty()) return {};
  return failure(ErrorKind::unsupported, "age plugins are not supported (-j " + arguments.plugin + ")");
}

Result<> encrypt(const AgeArguments& arguments) {
  if (auto good = check(arguments); !good) return good;
  Output output(arguments.output);
  if (output.is_standard() && !arguments.armor && arguments.output != "-" && ::isatty(STDOUT_FILENO) != 0) {
    return refuse("binary output is not written to a terminal; use -a for text, -o for a file, or -o - to force it");
  }
  const auto input = open_input(arguments.input);
  if (!input) return failure(input.error());
  auto encryptor = make_encryptor(arguments);
  if (!encryptor) return failure(std::move(encryptor.error()));
  std::string ready;
  const auto read = each_piece(input->get(), [&](std::string_view piece) {
    encryptor->write(piece, ready);
    auto written = output.write(ready);
    ready.clear();
    return written;
  });
  if (!read) return read;
  encryptor->finish(ready);
  if (auto written = output.write(ready); !written) return written;
  return output.finish();
}

/// Writes what was opened; wipes it even when writing fails.
Result<> write_opened(Output& output, std::string& opened) {
  auto written = output.write(opened);
  wipe(opened.data(), opened.size());
  opened.clear();
  return written;
}

Result<> decrypt(const AgeArguments& arguments) {
  if (auto good = check(arguments); !good) return good;
  const auto input = open_input(arguments.input);
  if (!input) return failure(input.error());
  const auto identities = read_all_identities(arguments.identity_files);
  if (!identities) return failure(identities.error());
  secrets::AgeOpeners openers{.identities = *identities};
  if (arguments.identity_files.empty()) openers.passphrase = [] { return ask_secret("Enter passphrase: "); };
  secrets::AgeDecryptor decryptor(std::move(openers));
  Output output(arguments.output);
  std::string opened;
  auto read = each_piece(input->get(), [&](std::string_view piece) {
    auto taken = decryptor.write(piece, opened);
    auto written = write_opened(output, opened);  // chunks before a damaged one have been verified
    return taken ? written : taken;
  });
  if (!read) return read;
  auto finished = decryptor.finish(opened);
  if (auto written = write_opened(output, opened); !written) return written;
  return finished ? output.finish() : finished;
}

std::string now_text() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()));
}

Result<> convert(const AgeArguments& arguments) {
  const auto identities = read_identities(arguments.input);
  if (!identities) return failure(identities.error());
  Output output(arguments.output);
  for (const auto& identity : *identities) {
    if (auto written = output.write(identity.recipient().to_string() + "\n"); !written) return written;
  }
  return output.finish();
}

Result<> keygen(const AgeArguments& arguments) {
  if (arguments.convert) return convert(arguments);
  if (!arguments.input.empty()) return refuse("an input is only read with -y");
  const auto identity = secrets::AgeIdentity::generate();
  const SecretString text = identity.to_key_file(now_text());
  const bool standard = arguments.output.empty() || arguments.output == "-";
  const auto written =
      standard ? write_all(STDOUT_FILENO, text.reveal()) : write_new_private_file(arguments.output, text.reveal());
  if (!written) return written;
  if (!standard || ::isatty(STDOUT_FILENO) == 0) {
    std::cerr << "Public key: " << identity.recipient().to_string() << '\n';
  }
  return {};
}

int finish(const Result<>& done) {
  return done ? exit_done : explain(done.error());
}

}  // namespace

int run_age_keygen(const AgeArguments& arguments) {
  return finish(keygen(arguments));
}

int run_age_encrypt(const AgeArguments& arguments) {
  return finish(encrypt(arguments));
}

int run_age_decrypt(const AgeArguments& arguments) {
  return finish(decrypt(arguments));
}

}  // namespace opi::cli
