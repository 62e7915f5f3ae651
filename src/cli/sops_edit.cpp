// `opi sops edit`: the plaintext is in a file of its owner's while the editor runs, and nowhere after it.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <iostream>

#include "cli/child.hpp"
#include "cli/files.hpp"
#include "cli/sops_run.hpp"

namespace opi::cli {
namespace {

namespace fs = std::filesystem;
namespace sops = secrets::sops;

std::string variable(const app::Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string{} : found->second;
}

/// A folder for one file that only we may read, gone with this object. In memory where the system offers that.
class PrivateFile {
 public:
  static Result<PrivateFile> create(const app::Environment& environment, const std::string& name) {
    std::string pattern = variable(environment, "XDG_RUNTIME_DIR");
    if (pattern.empty() || ::access(pattern.c_str(), W_OK) != 0) pattern = variable(environment, "TMPDIR");
    if (pattern.empty()) pattern = "/tmp";
    pattern += "/opi-sops-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) {
      return failure(system_error(ErrorKind::internal, "cannot make a private folder for the editor", errno));
    }
    return PrivateFile(pattern, pattern + "/" + fs::path(name).filename().string());
  }
  PrivateFile(PrivateFile&& other) noexcept
      : folder_(std::exchange(other.folder_, {})), path_(std::move(other.path_)) {}
  PrivateFile(const PrivateFile&) = delete;
  PrivateFile& operator=(const PrivateFile&) = delete;
  ~PrivateFile() {
    std::error_code ignored;
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
  }
  const std::string& path() const noexcept { return path_; }

 private:
  PrivateFile(std::string folder, std::string path) : folder_(std::move(folder)), path_(std::move(path)) {}
  std::string folder_;
  std::string path_;
};

std::string_view example(sops::Format format) {
  switch (format) {
    case sops::Format::yaml: return "# Values of this file are encrypted when the editor ends.\nname: value\n";
    case sops::Format::json: return "{\n\t\"name\": \"value\"\n}\n";
    case sops::Format::dotenv: return "# Values of this file are encrypted when the editor ends.\nNAME=value\n";
    case sops::Format::ini: return "[section]\nname = value\n";
    case sops::Format::binary: break;
  }
  return "Anything may stand here.\n";
}

SopsResult<std::vector<std::string>> editor_of(const app::Environment& environment) {
  for (const char* name : {"SOPS_EDITOR", "EDITOR"}) {
    const std::string command = variable(environment, name);
    if (command.empty()) continue;
    auto words = split_words(command);
    if (!words) return sops_failure(sops_exit::no_editor, std::string(name) + ": " + words.error().message);
    return std::move(*words);
  }
  for (const char* editor : {"vim", "nano", "vi"}) {
    const std::string path = variable(environment, "PATH");
    for (std::size_t at = 0; at <= path.size();) {
      const std::size_t end = std::min(path.find(':', at), path.size());
      if (::access((path.substr(at, end - at) + "/" + editor).c_str(), X_OK) == 0)
        return std::vector{std::string(editor)};
      at = end + 1;
    }
  }
  return sops_failure(sops_exit::no_editor, "no editor: set SOPS_EDITOR or EDITOR, or install vim, nano or vi");
}

/// What an edit does with the text that a person left.
struct Edit {
  std::string path;
  sops::Format format = sops::Format::yaml;
  SopsPlan plan;    ///< of a new file
  std::string old;  ///< encrypted; empty: a new file
  SopsIdentities keys;
  sops::DecryptOptions options;

  Result<std::string> close(std::string_view text) {
    if (!old.empty()) return sops::edit(old, text, format, options, std::chrono::system_clock::now());
    plan.options.recipients = plan.recipients;
    return sops::encrypt(text, format, plan.options);
  }
};

SopsResult<std::string> read_edited(const std::string& path) {
  auto text = read_file(path, sops_bytes_max);
  if (!text) return sops_failure(text.error(), sops_exit::cannot_read);
  return std::move(*text);
}

SopsResult<> edit_until_good(Edit& edit, const PrivateFile& file, const SecretString& before,
                             const std::vector<std::string>& editor) {
  std::vector<std::string> command = editor;
  command.push_back(file.path());
  while (true) {
    const auto code = run_on_terminal(command);
    if (!code) return sops_failure(code.error(), sops_exit::no_editor);
    if (*code != 0) return sops_failure(sops_exit::no_editor, "the editor ended with code " + std::to_string(*code));
    auto text = read_edited(file.path());
    if (!text) return std::unexpected(text.error());
    const SecretString edited = SecretString::take(std::move(*text));
    if (edited == before) return sops_failure(sops_exit::unchanged, "the file was not changed");
    const auto closed = edit.close(edited.reveal());
    if (closed) {
      if (auto written = replace_file(edit.path, *closed); !written) {
        return sops_failure(written.error(), sops_exit::cannot_write);
      }
      return {};
    }
    auto refused = sops_failure(closed.error(), sops_exit::cannot_read);
    std::cerr << "opi sops: " << refused.error().text << "\nPress enter to go back to the editor, Ctrl+C to end.\n";
    std::string line;
    if (!std::getline(std::cin, line)) return refused;
  }
}

SopsResult<> edit(const SopsArguments& arguments, const app::Environment& environment) {
  if (arguments.input.empty()) return sops_failure(sops_exit::no_file, "no file was named");
  const auto format = sops_format(arguments.input_type, arguments.input);
  if (!format) return std::unexpected(format.error());
  const auto editor = editor_of(environment);
  if (!editor) return std::unexpected(editor.error());
  Edit edit{.path = arguments.input, .format = *format};
  SecretString text(example(*format));
  std::error_code ignored;
  if (fs::exists(arguments.input, ignored)) {
    auto old = read_edited(arguments.input);
    if (!old) return std::unexpected(old.error());
    edit.old = std::move(*old);
    edit.keys = sops_identities_for(edit.old, *format, environment);
    const auto rules = sops_rules(arguments, environment, arguments.input, false);
    edit.options = {.identities = edit.keys.identities,
                    .ignore_mac = arguments.ignore_mac,
                    .layout = rules ? rules->layout : sops::Layout{}};
    auto opened = sops::decrypt(edit.old, *format, edit.options);
    if (!opened) return sops_failure(opened.error());
    text = std::move(*opened);
  } else {
    auto plan = sops_plan(arguments, environment, arguments.input);
    if (!plan) return std::unexpected(plan.error());
    edit.plan = std::move(*plan);
  }
  const auto file = PrivateFile::create(environment, arguments.input);
  if (!file) return sops_failure(file.error(), sops_exit::cannot_write);
  if (auto written = write_new_private_file(file->path(), text.reveal()); !written) {
    return sops_failure(written.error(), sops_exit::cannot_write);
  }
  return edit_until_good(edit, *file, text, *editor);
}

}  // namespace

int run_sops_edit(const SopsArguments& arguments, const app::Environment& environment) {
  return finish_sops(edit(arguments, environment));
}

}  // namespace opi::cli
