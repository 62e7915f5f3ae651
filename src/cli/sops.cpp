#include "cli/sops.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iostream>

#include "cli/files.hpp"
#include "cli/sops_run.hpp"

namespace opi::cli {
namespace {

namespace sops = secrets::sops;

SopsResult<> check_streams(const SopsArguments& arguments, bool name_needed) {
  if (arguments.in_place && !arguments.output.empty()) {
    return sops_failure(sops_exit::conflicting, "--in-place and --output exclude each other");
  }
  if (!arguments.input.empty()) {
    std::error_code ignored;
    if (!std::filesystem::exists(arguments.input, ignored)) {
      return sops_failure(sops_exit::no_file, arguments.input + " does not exist");
    }
    return {};
  }
  if (arguments.in_place) return sops_failure(sops_exit::conflicting, "--in-place needs a file");
  if (name_needed && arguments.filename_override.empty()) {
    return sops_failure(sops_exit::conflicting, "reading standard input needs --filename-override");
  }
  return {};
}

SopsResult<std::string> read_input(const SopsArguments& arguments) {
  auto text = read_file(arguments.input, sops_bytes_max);
  if (!text) return sops_failure(text.error(), sops_exit::cannot_read);
  return std::move(*text);
}

SopsResult<> write_output(const SopsArguments& arguments, std::string_view text) {
  Result<> written;
  if (arguments.in_place) {
    written = replace_file(arguments.input, text);
  } else {
    Output output(arguments.output);
    written = output.write(text);
    if (written) written = output.finish();
  }
  if (!written) return sops_failure(written.error(), sops_exit::cannot_write);
  return {};
}

struct Formats {
  sops::Format from;
  sops::Format to;
};

SopsResult<Formats> formats_of(const SopsArguments& arguments) {
  const std::string name = sops_name(arguments, arguments.input);
  const auto from = sops_format(arguments.input_type, name);
  if (!from) return std::unexpected(from.error());
  const auto to = sops_format(arguments.output_type, name);
  if (!to) return std::unexpected(to.error());
  return Formats{.from = *from, .to = *to};
}

sops::Layout layout_of(const SopsArguments& arguments, const app::Environment& environment) {
  if (arguments.indent > 0) return {.yaml_indent = arguments.indent, .json_indent = arguments.indent};
  const auto rules = sops_rules(arguments, environment, sops_name(arguments, arguments.input), false);
  return rules ? rules->layout : sops::Layout{};
}

SopsResult<> encrypt(const SopsArguments& arguments, const app::Environment& environment) {
  if (auto good = check_streams(arguments, true); !good) return good;
  const auto formats = formats_of(arguments);
  if (!formats) return std::unexpected(formats.error());
  auto plan = sops_plan(arguments, environment, sops_name(arguments, arguments.input));
  if (!plan) return std::unexpected(plan.error());
  auto text = read_input(arguments);
  if (!text) return std::unexpected(text.error());
  const SecretString plaintext = SecretString::take(std::move(*text));
  plan->options.recipients = plan->recipients;
  const auto file = sops::encrypt(plaintext.reveal(), formats->from, formats->to, plan->options);
  if (!file) return sops_failure(file.error(), sops_exit::cannot_read);
  return write_output(arguments, *file);
}

SopsResult<> decrypt(const SopsArguments& arguments, const app::Environment& environment) {
  if (auto good = check_streams(arguments, false); !good) return good;
  const auto formats = formats_of(arguments);
  if (!formats) return std::unexpected(formats.error());
  const auto text = read_input(arguments);
  if (!text) return std::unexpected(text.error());
  const SopsIdentities keys = sops_identities_for(*text, formats->from, environment);
  const sops::DecryptOptions options{
      .identities = keys.identities, .ignore_mac = arguments.ignore_mac, .layout = layout_of(arguments, environment)};
  const auto plaintext = arguments.extract.empty()
                             ? sops::decrypt(*text, formats->from, formats->to, options)
                             : sops::extract(*text, formats->from, formats->to, arguments.extract, options);
  if (!plaintext) return sops_failure(plaintext.error());
  return write_output(arguments, plaintext->reveal());
}

bool agreed() {
  while (true) {
    std::cout << "Is this okay? (y/n): " << std::flush;
    std::string answer;
    if (!std::getline(std::cin, answer) || answer == "n") return false;
    if (answer == "y") return true;
  }
}

SopsResult<> update_one(const SopsArguments& arguments, const app::Environment& environment, const std::string& path) {
  const auto format = sops_format(arguments.input_type, path);
  if (!format) return std::unexpected(format.error());
  auto rules = sops_rules(arguments, environment, path, true);
  if (!rules) return std::unexpected(rules.error());
  if (!rules->creation) return sops_failure(1, "no .sops.yaml with creation rules was found");
  const auto text = read_file(path, sops_bytes_max);
  if (!text) return sops_failure(text.error());
  const SopsIdentities keys = sops_identities_for(*text, *format, environment);
  const auto update = sops::update_keys(*text, *format, rules->creation->recipients, rules->creation->foreign,
                                        {.identities = keys.identities, .layout = rules->layout});
  if (!update) return sops_failure(update.error());
  if (update->file.empty()) {
    std::cerr << path << " is up to date\n";
    return {};
  }
  std::cout << path << ":\n";
  for (const std::string& key : update->added) std::cout << "  + " << key << '\n';
  for (const std::string& key : update->removed) std::cout << "  - " << key << '\n';
  if (!arguments.yes && !agreed()) {
    std::cerr << path << " is left as it was\n";
    return {};
  }
  if (auto written = replace_file(path, update->file); !written) {
    return sops_failure(written.error(), sops_exit::cannot_write);
  }
  std::cerr << path << " is sealed to the new keys\n";
  return {};
}

}  // namespace

int run_sops_encrypt(const SopsArguments& arguments, const app::Environment& environment) {
  return finish_sops(encrypt(arguments, environment));
}

int run_sops_decrypt(const SopsArguments& arguments, const app::Environment& environment) {
  return finish_sops(decrypt(arguments, environment));
}

int run_sops_updatekeys(const SopsArguments& arguments, const app::Environment& environment) {
  if (arguments.files.empty()) return finish_sops(sops_failure(sops_exit::no_file, "no file was named"));
  int failed = 0;
  for (const std::string& path : arguments.files) {
    const auto updated = update_one(arguments, environment, path);
    if (arguments.files.size() == 1) return finish_sops(updated);
    if (finish_sops(updated) != 0) ++failed;
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace opi::cli
