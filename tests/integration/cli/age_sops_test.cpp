// `opi age` and `opi sops` as those meet them who know age and sops: options, environment, files, exit codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

#include <iterator>
#include <utility>

#include "integration/cli/program.hpp"

namespace opi::test {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* key_text = "AGE-SECRET-KEY-15SNRF5Z6NYNWJPRD09GJC0F55SMFFT3UQF5EQNMSN5E3MVFP6WCQP08H7G";
constexpr const char* recipient = "age1tpvrerc99al9t4sdqf0gn795yu72uan4dx2q9nxkv7sgtg3n855qe2mukc";

/// A program that sits at a terminal of its own, which this end of it types on. Killed when it goes out of scope alive.
class AtTerminal {
 public:
  AtTerminal(const fs::path& folder, std::vector<std::string> argv) {
    auto environment = program_environment({"TERM=dumb"});
    const auto pointers = [](std::vector<std::string>& texts) {
      std::vector<char*> all;
      for (auto& text : texts) all.push_back(text.data());
      all.push_back(nullptr);
      return all;
    };
    const auto arguments = pointers(argv);
    const auto variables = pointers(environment);
    pid_ = ::forkpty(&terminal_, nullptr, nullptr, nullptr);
    if (pid_ < 0) throw std::runtime_error("no terminal");
    if (pid_ != 0) return;
    if (::chdir(folder.c_str()) == 0) ::execvpe(arguments.front(), arguments.data(), variables.data());
    ::_exit(127);
  }
  AtTerminal(const AtTerminal&) = delete;
  AtTerminal& operator=(const AtTerminal&) = delete;
  ~AtTerminal() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      (void)exit_code();
    }
    ::close(terminal_);
  }

  /// Until `text` stands on it; false when the program ends, or a minute passes, without.
  bool shows(std::string_view text) {
    const auto last = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (shown_.find(text) == std::string::npos && std::chrono::steady_clock::now() < last && read_some()) {
    }
    return shown_.find(text) != std::string::npos;
  }
  /// Waits for the question, answers it, and has everything before the answer behind it.
  bool answers(std::string_view question, std::string_view line) {
    if (!shows(question)) return false;
    before_ += std::exchange(shown_, {});
    const std::string text = std::string(line) + "\n";
    return ::write(terminal_, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  }
  bool echoes() const {
    termios state{};
    return ::tcgetattr(terminal_, &state) == 0 && (state.c_lflag & ECHO) != 0;
  }
  /// Reads to the end, and waits for it.
  int end() {
    while (read_some()) {
    }
    return exit_code();
  }
  /// All that ever stood on it.
  std::string all() const { return before_ + shown_; }

 private:
  bool read_some() {
    pollfd ready{.fd = terminal_, .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, 60'000) <= 0) return false;
    std::array<char, 4096> buffer{};
    const ssize_t count = ::read(terminal_, buffer.data(), buffer.size());  // EIO once nobody sits there
    if (count > 0) shown_.append(buffer.data(), static_cast<std::size_t>(count));
    return count > 0;
  }
  int exit_code() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  int terminal_ = -1;
  pid_t pid_ = -1;
  std::string shown_, before_;
};

class DropIn : public testing::Test {
 protected:
  aio::CommandResult opi(const std::vector<std::string>& arguments, const std::vector<std::string>& environment = {}) {
    return run_opi(folder_.path(), arguments, environment);
  }
  aio::CommandResult with_key(const std::vector<std::string>& arguments) {
    return opi(arguments, {std::string("SOPS_AGE_KEY=") + key_text});
  }
  /// Another program, in the same folder.
  int code_of(const std::vector<std::string>& argv) {
    aio::Command command{.argv = argv, .environment = program_environment({}), .directory = folder_.path().string()};
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    auto result = run_coroutine(aio::run_command(std::move(command), deadline), std::chrono::minutes(2));
    return result ? result->exit_code : 127;
  }
  std::string read(const std::string& name) const {
    std::ifstream in(folder_.path() / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string fixture(const std::string& name) const {
    std::ifstream in(std::string(OPI_SOURCE_DIR) + "/tests/secrets/fixtures/sops/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  /// `opi age …` or another program at a terminal.
  AtTerminal opi_at_terminal(const std::vector<std::string>& arguments) {
    return AtTerminal(folder_.path(), program_argv(arguments));
  }
  AtTerminal at_terminal(const std::vector<std::string>& argv) { return AtTerminal(folder_.path(), argv); }
  OpenFolder folder_;
};

TEST_F(DropIn, AKeyIsMadeForItsOwnerAloneAndNeverOverwritten) {
  const auto made = opi({"age", "keygen", "-o", "key.txt"});
  EXPECT_EQ(made.exit_code, 0) << made.error_output;
  EXPECT_THAT(made.error_output, StartsWith("Public key: age1"));
  EXPECT_THAT(read("key.txt"), HasSubstr("\nAGE-SECRET-KEY-1"));
  struct stat status{};
  ASSERT_EQ(::stat((folder_.path() / "key.txt").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  const std::string before = read("key.txt");
  EXPECT_EQ(opi({"age", "keygen", "-o", "key.txt"}).exit_code, 1);
  EXPECT_EQ(read("key.txt"), before);
  const auto converted = opi({"age", "keygen", "-y", "key.txt"});
  EXPECT_EQ("Public key: " + converted.output, made.error_output);
}

TEST_F(DropIn, AgeAndWeOpenEachOthersFiles) {
  ASSERT_EQ(opi({"age", "keygen", "-o", "key.txt"}).exit_code, 0);
  const std::string plain(200'000, 'x');
  folder_.write("plain", plain);
  const std::string to = opi({"age", "keygen", "-y", "key.txt"}).output;
  folder_.write("recipients", "# us\n" + to);
  EXPECT_EQ(opi({"age", "encrypt", "-a", "-R", "recipients", "-o", "ours.age", "plain"}).exit_code, 0);
  EXPECT_THAT(read("ours.age"), StartsWith("-----BEGIN AGE ENCRYPTED FILE-----\n"));
  EXPECT_EQ(code_of({"age", "-d", "-i", "key.txt", "-o", "back", "ours.age"}), 0);
  EXPECT_TRUE(read("back") == plain);
  EXPECT_EQ(code_of({"age", "-r", to.substr(0, to.size() - 1), "-o", "theirs.age", "plain"}), 0);
  EXPECT_EQ(opi({"age", "decrypt", "-i", "key.txt", "-o", "back2", "theirs.age"}).exit_code, 0);
  EXPECT_TRUE(read("back2") == plain);
}

TEST_F(DropIn, AgeRefusesWithOneLineAndOne) {
  folder_.write("plain", "x");
  EXPECT_THAT(opi({"age", "encrypt", "plain"}).error_output, HasSubstr("no recipient"));
  EXPECT_THAT(opi({"age", "encrypt", "-r", "age1pq1abc", "plain"}).error_output, HasSubstr("ML-KEM"));
  EXPECT_THAT(opi({"age", "encrypt", "-j", "yubikey", "plain"}).error_output, HasSubstr("plugins are not supported"));
  const auto garbage = opi({"age", "decrypt", "-o", "out", "plain"});
  EXPECT_EQ(garbage.exit_code, 1);
  EXPECT_FALSE(fs::exists(folder_.path() / "out"));
  EXPECT_EQ(opi({"age", "decrypt", "missing"}).exit_code, 1);
}

TEST_F(DropIn, APassphraseIsAskedForOnTheTerminalAndNeverShown) {
  folder_.write("plain", "for the two of us");
  auto seals = opi_at_terminal({"age", "encrypt", "-p", "-o", "ours.age", "plain"});
  ASSERT_TRUE(seals.shows("Enter passphrase (leave empty to have one made): ")) << seals.all();
  EXPECT_FALSE(seals.echoes());
  ASSERT_TRUE(seals.answers("Enter passphrase", "open sesame"));
  ASSERT_TRUE(seals.answers("Confirm passphrase: ", "open sesame")) << seals.all();
  ASSERT_EQ(seals.end(), 0) << seals.all();
  EXPECT_TRUE(seals.echoes());
  EXPECT_THAT(seals.all(), Not(HasSubstr("sesame")));
  EXPECT_THAT(read("ours.age"), HasSubstr("\n-> scrypt "));

  auto opens = opi_at_terminal({"age", "decrypt", "-o", "opened", "ours.age"});
  ASSERT_TRUE(opens.answers("Enter passphrase: ", "open sesame")) << opens.all();
  EXPECT_EQ(opens.end(), 0) << opens.all();
  EXPECT_EQ(read("opened"), "for the two of us");
  EXPECT_THAT(opens.all(), Not(HasSubstr("sesame")));

  auto wrong = opi_at_terminal({"age", "decrypt", "-o", "nothing", "ours.age"});
  ASSERT_TRUE(wrong.answers("Enter passphrase: ", "open barley")) << wrong.all();
  EXPECT_EQ(wrong.end(), 1);
  EXPECT_THAT(wrong.all(), HasSubstr("passphrase"));
  EXPECT_FALSE(fs::exists(folder_.path() / "nothing"));
}

TEST_F(DropIn, AgeAndWeOpenWhatTheOtherSealedWithAPassphrase) {
  folder_.write("plain", "for the two of us");
  auto seals = at_terminal({"age", "-p", "-o", "theirs.age", "plain"});
  ASSERT_TRUE(seals.answers("Enter passphrase", "open sesame")) << seals.all();
  ASSERT_TRUE(seals.answers("Confirm passphrase", "open sesame")) << seals.all();
  ASSERT_EQ(seals.end(), 0) << seals.all();
  auto opens = opi_at_terminal({"age", "decrypt", "-o", "ours", "theirs.age"});
  ASSERT_TRUE(opens.answers("Enter passphrase: ", "open sesame")) << opens.all();
  EXPECT_EQ(opens.end(), 0) << opens.all();
  EXPECT_EQ(read("ours"), "for the two of us");

  auto made = opi_at_terminal({"age", "encrypt", "-p", "-a", "-o", "ours.age", "plain"});
  ASSERT_TRUE(made.answers("Enter passphrase", "")) << made.all();
  ASSERT_EQ(made.end(), 0) << made.all();
  const std::string told = made.all();
  const std::size_t begin = told.find("The passphrase is \"");
  ASSERT_NE(begin, std::string::npos) << "one that was made is told";
  const std::size_t first = begin + std::string_view("The passphrase is \"").size();
  auto theirs = at_terminal({"age", "-d", "-o", "theirs", "ours.age"});
  ASSERT_TRUE(theirs.answers("Enter passphrase", told.substr(first, told.find('"', first) - first)));
  EXPECT_EQ(theirs.end(), 0);
  EXPECT_EQ(read("theirs"), "for the two of us");
}

TEST_F(DropIn, WhatIsTypedWronglyOrBelongsInAFileIsRefusedAtTheTerminal) {
  folder_.write("plain", "x");
  auto mistyped = opi_at_terminal({"age", "encrypt", "-p", "-o", "out", "plain"});
  ASSERT_TRUE(mistyped.answers("Enter passphrase", "one")) << mistyped.all();
  ASSERT_TRUE(mistyped.answers("Confirm passphrase: ", "two")) << mistyped.all();
  EXPECT_EQ(mistyped.end(), 1);
  EXPECT_THAT(mistyped.all(), HasSubstr("not the same"));
  EXPECT_FALSE(fs::exists(folder_.path() / "out"));
  auto binary = opi_at_terminal({"age", "encrypt", "-r", recipient, "plain"});
  EXPECT_EQ(binary.end(), 1);
  EXPECT_THAT(binary.all(), HasSubstr("not written to a terminal"));
  EXPECT_THAT(opi({"age", "encrypt", "-p", "plain"}).error_output, HasSubstr("there is none"))
      << "the tests themselves may have a terminal; their child is to have none";
}

TEST_F(DropIn, SopsFilesAreMadeOpenedAndReKeyed) {
  folder_.write("plain.yaml", "# why\na: one\nb:\n    - 1\n");
  const auto made = opi({"sops", "encrypt", "--age", recipient, "--output", "file.yaml", "plain.yaml"});
  ASSERT_EQ(made.exit_code, 0) << made.error_output;
  EXPECT_THAT(read("file.yaml"), HasSubstr("recipient: " + std::string(recipient)));
  EXPECT_EQ(with_key({"sops", "decrypt", "file.yaml"}).output, read("plain.yaml"));
  EXPECT_EQ(with_key({"sops", "decrypt", "--extract", "[\"a\"]", "file.yaml"}).output, "one");
  EXPECT_EQ(with_key({"sops", "decrypt", "--output-type", "json", "file.yaml"}).output,
            "{\n\t\"a\": \"one\",\n\t\"b\": [\n\t\t1\n\t]\n}\n");
  folder_.write("keys.txt", std::string(key_text) + "\n");
  EXPECT_EQ(opi({"sops", "decrypt", "file.yaml"}, {"SOPS_AGE_KEY_FILE=keys.txt"}).output, read("plain.yaml"));
  EXPECT_EQ(opi({"sops", "decrypt", "file.yaml"}, {"SOPS_AGE_KEY_CMD=cat 'keys.txt'"}).output, read("plain.yaml"));

  ASSERT_EQ(opi({"age", "keygen", "-o", "second.txt"}).exit_code, 0);
  std::string second = opi({"age", "keygen", "-y", "second.txt"}).output;
  second.pop_back();
  folder_.write(".sops.yaml", "creation_rules:\n  - age: " + second + "\n");
  const auto updated = with_key({"sops", "updatekeys", "-y", "file.yaml"});
  EXPECT_EQ(updated.exit_code, 0) << updated.error_output;
  EXPECT_THAT(updated.output, HasSubstr("+ " + second));
  EXPECT_EQ(with_key({"sops", "decrypt", "file.yaml"}).exit_code, 128);
  EXPECT_EQ(opi({"sops", "decrypt", "-i", "file.yaml"}, {"SOPS_AGE_KEY_FILE=second.txt"}).exit_code, 0);
  EXPECT_EQ(read("file.yaml"), read("plain.yaml"));
  EXPECT_EQ(opi({"sops", "encrypt", "-i", "file.yaml"}).exit_code, 0);  // by the rule
  EXPECT_THAT(read("file.yaml"), HasSubstr(second));
}

TEST_F(DropIn, SopsEndsWithTheExitCodesOfTheProgram) {
  const std::string file = fixture("enc/secret.encrypted_regex.yaml");
  folder_.write("file.yaml", file);
  EXPECT_EQ(opi({"sops", "decrypt", "file.yaml"}).exit_code, 128);
  EXPECT_EQ(with_key({"sops", "decrypt", "file.yaml"}).output, fixture("expected/secret.encrypted_regex.yaml"));
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = file;
    text.replace(text.find(from), from.size(), to);
    folder_.write("changed.yaml", text);
    return with_key({"sops", "decrypt", "changed.yaml"}).exit_code;
  };
  EXPECT_EQ(changed("password: ENC[AES256_GCM,data:", "password: ENC[AES256_GCM,data:AAAA"), 25);
  EXPECT_EQ(changed("namespace: prod", "namespace: other"), 51);
  EXPECT_EQ(with_key({"sops", "decrypt", "--ignore-mac", "changed.yaml"}).exit_code, 0);
  EXPECT_EQ(opi({"sops", "encrypt", "--age", recipient, "file.yaml"}).exit_code, 203);
  EXPECT_EQ(with_key({"sops", "decrypt", "missing.yaml"}).exit_code, 100);
  EXPECT_EQ(with_key({"sops", "decrypt", "-i"}).exit_code, 8);
  folder_.write("plain.yaml", "a: 1\n");
  EXPECT_EQ(with_key({"sops", "decrypt", "plain.yaml"}).exit_code, 1);
  EXPECT_EQ(opi({"sops", "encrypt", "plain.yaml"}).exit_code, 1);
  EXPECT_THAT(opi({"sops", "encrypt", "--pgp", "ABCD", "plain.yaml"}).error_output, HasSubstr("only age keys"));
}

TEST_F(DropIn, AnEditLeavesNoPlaintextBehindAndKeepsWhatItDidNotTouch) {
  folder_.write("file.yaml", fixture("enc/secret.encrypted_regex.yaml"));
  const auto edit = [&](const std::string& editor) {
    return opi({"sops", "edit", "file.yaml"},
               {std::string("SOPS_AGE_KEY=") + key_text, "SOPS_EDITOR=" + editor, "TMPDIR=" + folder_.path().string()});
  };
  EXPECT_EQ(edit("true").exit_code, 200);
  EXPECT_EQ(edit("false").exit_code, 201);
  EXPECT_EQ(edit("no-such-editor").exit_code, 201);
  const auto edited = edit("sed -i 's/user: .*/user: changed/'");
  EXPECT_EQ(edited.exit_code, 0) << edited.error_output;
  const std::string before = fixture("enc/secret.encrypted_regex.yaml");
  const std::size_t password = before.find("    password: ENC[");
  EXPECT_THAT(read("file.yaml"), HasSubstr(before.substr(password, before.find('\n', password) - password)));
  EXPECT_THAT(with_key({"sops", "decrypt", "file.yaml"}).output, HasSubstr("user: changed\n"));
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder_.path())) ++files;
  EXPECT_EQ(files, 1U);
}

}  // namespace
}  // namespace opi::test
