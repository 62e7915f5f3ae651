#include "cli/sops_identities.hpp"

#include <algorithm>
#include <optional>

#include "cli/child.hpp"
#include "cli/files.hpp"

namespace opi::cli {
namespace {

constexpr std::size_t key_file_bytes_max = std::size_t{16} << 20U;

std::optional<std::string> value_of_variable(const app::Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  if (found == environment.end()) return {};
  return found->second;
}

class Finder {
 public:
  explicit Finder(const app::Environment& environment) : environment_(environment) {}

  void add(std::string_view text, const std::string& source) {
    auto identities = secrets::AgeIdentity::parse_all(text);
    if (!identities) {
      found_.problems.push_back(std::move(identities.error()).while_doing(source).to_string());
      return;
    }
    for (auto& identity : *identities) {
      const auto same = [&](const auto& known) { return known.recipient() == identity.recipient(); };
      if (std::ranges::none_of(found_.identities, same)) found_.identities.push_back(std::move(identity));
    }
  }

  void from_variable() {
    const auto text = value_of_variable(environment_, "SOPS_AGE_KEY");
    if (!text) return;
    // Several keys may stand on one line.
    std::string lines = *text;
    for (std::size_t at = lines.find(" AGE-SECRET-KEY-"); at != std::string::npos;
         at = lines.find(" AGE-SECRET-KEY-", at + 1)) {
      if (lines.substr(0, at).rfind('#') == std::string::npos) lines[at] = '\n';
    }
    add(lines, "SOPS_AGE_KEY");
    wipe(lines);
  }

  void from_file(const std::string& path, const std::string& source, bool must_be) {
    auto text = read_file(path, key_file_bytes_max);
    if (!text) {
      if (must_be || text.error().kind != ErrorKind::not_found) {
        found_.problems.push_back(std::move(text.error()).while_doing(source).to_string());
      }
      return;
    }
    const SecretString content = SecretString::take(std::move(*text));
    add(content.reveal(), source);
  }

  void from_command(std::span<const std::string> recipients) {
    const auto command = value_of_variable(environment_, "SOPS_AGE_KEY_CMD");
    if (!command) return;
    const auto words = split_words(*command);
    if (!words) {
      found_.problems.push_back(Error(words.error()).while_doing("SOPS_AGE_KEY_CMD").to_string());
      return;
    }
    for (const std::string& recipient : recipients) {
      const auto output = output_of(*words, child_environment({"SOPS_AGE_RECIPIENT=" + recipient}));
      if (output) {
        add(output->reveal(), "SOPS_AGE_KEY_CMD");
      } else {
        found_.problems.push_back(Error(output.error()).while_doing("SOPS_AGE_KEY_CMD").to_string());
      }
    }
  }

  void from_user_folder() {
    std::string folder = value_of_variable(environment_, "XDG_CONFIG_HOME").value_or("");
    if (folder.empty()) {
      const auto home = value_of_variable(environment_, "HOME");
      if (!home || home->empty()) return;
      folder = *home + "/.config";
    }
    from_file(folder + "/sops/age/keys.txt", "sops/age/keys.txt", false);
  }

  SopsIdentities run(std::span<const std::string> recipients) {
    from_variable();
    if (const auto path = value_of_variable(environment_, "SOPS_AGE_KEY_FILE"))
      from_file(*path, "SOPS_AGE_KEY_FILE", true);
    from_command(recipients);
    from_user_folder();
    for (const char* name : {"SOPS_AGE_SSH_PRIVATE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_CMD"}) {
      if (value_of_variable(environment_, name))
        found_.problems.push_back(std::string(name) + ": SSH keys are not supported");
    }
    return std::move(found_);
  }

 private:
  const app::Environment& environment_;
  SopsIdentities found_;
};

}  // namespace

SopsIdentities find_sops_identities(const app::Environment& environment, std::span<const std::string> recipients) {
  return Finder(environment).run(recipients);
}

}  // namespace opi::cli
