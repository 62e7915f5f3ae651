#include "git/git_environment.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>

#include "git/file_url.hpp"
#include "git/object_reader.hpp"

namespace opi::git {

namespace {

bool has_control(std::string_view text) noexcept {
  return std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

/// A value of a git configuration file, quoted.
std::string config_value(std::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

/// A word of a shell command: git hands core.sshCommand to a shell, and there is no other way to give ssh options.
std::string shell_word(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + '\'';
}

std::string ssh_command(const SshCredentials& ssh) {
  std::string command =
      "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=/dev/null"
      " -o PasswordAuthentication=no -o KbdInteractiveAuthentication=no -o ForwardAgent=no -o ClearAllForwardings=yes"
      " -o ConnectTimeout=15 -o ServerAliveInterval=10 -o ServerAliveCountMax=3 -o IdentitiesOnly=yes -o "
      "UserKnownHostsFile=";
  // ssh splits this option at spaces and expands % and ~ in it: quote for ssh, then for the shell.
  std::string known = ssh.known_hosts_file.empty() ? "/dev/null" : ssh.known_hosts_file;
  std::string escaped;
  for (const char c : known) escaped += c == '%' ? std::string("%%") : std::string(1, c);
  command += shell_word("\"" + escaped + "\"");
  if (!ssh.key_file.empty()) command += " -i " + shell_word(ssh.key_file);
  return command;
}

/// "user:password" in base64, as the Basic scheme has it; every buffer is wiped.
SecretString basic_header(const std::string& username, const SecretString& password) {
  std::string plain = fmt::format("{}:{}", username, password.reveal());
  std::string encoded(4 * ((plain.size() + 2) / 3) + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()),
                      reinterpret_cast<const unsigned char*>(plain.data()), static_cast<int>(plain.size()));
  encoded.resize(static_cast<std::size_t>(std::max(size, 0)));
  wipe(plain);
  std::string header = "Authorization: Basic " + encoded;
  wipe(encoded);
  return SecretString::take(std::move(header));
}

/// scheme://authority of an http URL: the header goes there and nowhere else.
std::string origin_of(const std::string& url) {
  return url.substr(0, url.find('/', url.find("://") + 3)) + "/";
}

}  // namespace

Result<Remote> parse_remote(const std::string& url) {
  if (url.empty() || url.front() == '-' || has_control(url) || url.size() > 2'048)
    return failure(ErrorKind::invalid, "the URL of the repository is empty or not usable");
  if (url.front() == '/') return Remote{.url = file_url(url), .scheme = "file"};
  const auto mark = url.find("://");
  if (mark == std::string::npos) {
    // user@host:path; a transport helper ("ext::…") is not one.
    const auto colon = url.find(':');
    const bool scp = colon != std::string::npos && colon > 0 && url.find('/') > colon && !url.contains("::");
    if (scp) return Remote{.url = url, .scheme = "ssh"};
    return failure(ErrorKind::invalid,
                   fmt::format("\"{}\" is not a URL that git can be given here", clean_line(url, 200)));
  }
  std::string scheme = url.substr(0, mark);
  static constexpr std::array known{"https", "http", "ssh", "git", "file"};
  if (std::ranges::find(known, scheme) == known.end())
    return failure(Error(ErrorKind::invalid, fmt::format("transport \"{}\" is not supported", clean_line(scheme, 40)))
                       .with_remedy("use https, ssh, git or file"));
  const auto authority = std::string_view(url).substr(mark + 3, url.find('/', mark + 3) - (mark + 3));
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
    const bool http = scheme.starts_with("http");
    if (http || authority.substr(0, at).contains(':'))
      return failure(Error(ErrorKind::invalid, "the URL of the repository holds credentials")
                         .with_remedy("set user and password beside the URL"));
  }
  if (scheme != "file" && (authority.empty() || authority.front() == '-'))
    return failure(ErrorKind::invalid, "the URL of the repository has no host");
  return Remote{.url = url, .scheme = std::move(scheme)};
}

Result<> check_proxy(const std::string& proxy) {
  if (proxy.empty()) return {};
  const auto mark = proxy.find("://");
  const bool known = proxy.starts_with("http://") || proxy.starts_with("https://") || proxy.starts_with("socks5h://");
  if (!known || has_control(proxy) || proxy.size() > 2'048 || proxy.size() == mark + 3)
    return failure(Error(ErrorKind::invalid, "the proxy is not one").with_remedy("write one like http://proxy:3128"));
  if (proxy.contains('@'))
    return failure(Error(ErrorKind::invalid, "the URL of the proxy holds credentials")
                       .with_remedy("let the proxy admit this machine without"));
  return {};
}

Result<> check_branch(const std::string& branch) {
  const bool bad = branch.empty() || branch.size() > 255 || branch.front() == '-' || branch.front() == '/' ||
                   branch.front() == '.' || branch.back() == '/' || branch.back() == '.' || branch.contains("..") ||
                   branch.contains("//") || branch.contains("/.") || branch.contains("@{") ||
                   branch.ends_with(".lock") || has_control(branch) ||
                   branch.find_first_of(" ~^:?*[\\") != std::string::npos;
  if (bad) return failure(ErrorKind::invalid, fmt::format("\"{}\" is not a branch name", clean_line(branch, 100)));
  return {};
}

std::string configuration_text(const MirrorSettings& settings, const Remote& remote,
                               const std::filesystem::path& repository) {
  // Large files go to disk as they come; none of them is held in memory.
  std::string text = "# Written by opi at every start.\n[core]\n\thooksPath = /dev/null\n\tbigFileThreshold = 1m\n";
  if (remote.scheme == "ssh")
    text += fmt::format("\tsshCommand = {}\n", config_value(ssh_command(settings.ssh.value_or(SshCredentials{}))));
  text +=
      "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[fetch]\n\tfsckObjects = false\n[advice]\n\tdetachedHead = "
      "false\n";
  text += fmt::format("[http]\n\tlowSpeedLimit = 1000\n\tlowSpeedTime = {}\n", settings.low_speed_time.count());
  // git would send our credentials to wherever the server points.
  if (settings.http) text += "\tfollowRedirects = false\n";
  if (!settings.ca_file.empty()) text += fmt::format("\tsslCAInfo = {}\n", config_value(settings.ca_file));
  if (!settings.proxy.empty()) text += fmt::format("\tproxy = {}\n", config_value(settings.proxy));
  text += fmt::format("[safe]\n\tdirectory = {}\n", config_value(repository.string()));
  if (remote.scheme == "file") {
    // upload-pack runs in the source, which another user may own; it is asked for by name here, so it is trusted.
    const std::string path = path_of_file_url(remote.url);
    text += fmt::format("\tdirectory = {}\n\tdirectory = {}\n", config_value(path), config_value(path + "/.git"));
  }
  return text;
}

std::string path_entry() {
  const char* path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): nobody sets the environment after start
  return fmt::format("PATH={}", path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
}

std::vector<std::string> environment_of(const MirrorSettings& settings, const Remote& remote) {
  const std::string home = (settings.directory / "home").string();
  return {
      path_entry(),
      "HOME=" + home,
      "XDG_CONFIG_HOME=" + home,
      "LC_ALL=C",
      "GIT_CONFIG_GLOBAL=" + (settings.directory / "gitconfig").string(),
      "GIT_CONFIG_NOSYSTEM=1",
      "GIT_ATTR_NOSYSTEM=1",
      "GIT_TERMINAL_PROMPT=0",
      "GIT_ASKPASS=/bin/false",
      "SSH_ASKPASS=/bin/false",
      "SSH_ASKPASS_REQUIRE=never",
      "GIT_SSH_VARIANT=ssh",
      "GIT_OPTIONAL_LOCKS=0",
      // A repository that our directory happens to stand in has no say.
      "GIT_CEILING_DIRECTORIES=" + settings.directory.parent_path().string(),
      "GIT_ALLOW_PROTOCOL=" + remote.scheme,
  };
}

Result<std::vector<SecretString>> credentials_of(const MirrorSettings& settings, const Remote& remote) {
  std::vector<SecretString> entries;
  if (!settings.http || !remote.scheme.starts_with("http")) return entries;
  auto password = settings.http->password ? settings.http->password() : Result<SecretString>{};
  if (!password) return failure(std::move(password).error().while_doing("the repository's password"));
  if (has_control(password->reveal()) || has_control(settings.http->username))
    return failure(ErrorKind::invalid, "the repository's user or password holds a control character");
  const SecretString header = basic_header(settings.http->username, *password);
  // As configuration in the environment: git sends it to this origin only, and nothing stands in a file or in argv.
  entries.emplace_back("GIT_CONFIG_COUNT=1");
  entries.emplace_back(fmt::format("GIT_CONFIG_KEY_0=http.{}.extraHeader", origin_of(remote.url)));
  entries.push_back(SecretString::take(fmt::format("GIT_CONFIG_VALUE_0={}", header.reveal())));
  return entries;
}

std::string clean_line(std::string_view text, std::size_t most) {
  std::string out;
  for (const char c : text.substr(0, most)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f ? ' ' : c;
  }
  const auto last = out.find_last_not_of(' ');
  out.resize(last == std::string::npos ? 0 : last + 1);
  return out;
}

namespace {

struct Saying {
  std::string_view part;
  ErrorKind kind;
};

/// What git, ssh and curl say, most telling first.
constexpr std::array sayings{
    Saying{"No space left on device", ErrorKind::exhausted},
    Saying{"Read-only file system", ErrorKind::exhausted},
    Saying{"Host key verification failed", ErrorKind::denied},
    Saying{"repository not exported", ErrorKind::not_found},  // before "access denied", with which it is said
    Saying{"Authentication failed", ErrorKind::denied},
    Saying{"could not read Username", ErrorKind::denied},
    Saying{"could not read Password", ErrorKind::denied},
    Saying{"Permission denied", ErrorKind::denied},
    Saying{"dubious ownership", ErrorKind::denied},
    Saying{"access denied", ErrorKind::denied},
    Saying{"returned error: 403", ErrorKind::denied},
    Saying{"SSL certificate problem", ErrorKind::denied},
    Saying{"server certificate verification failed", ErrorKind::denied},
    Saying{"unable to update url base from redirection", ErrorKind::invalid},
    Saying{"returned error: 30", ErrorKind::invalid},
    Saying{"returned error: 404", ErrorKind::not_found},
    Saying{"does not appear to be a git repository", ErrorKind::not_found},
    Saying{"Repository not found", ErrorKind::not_found},
    Saying{"does not exist", ErrorKind::not_found},
    Saying{"' not found", ErrorKind::not_found},
};

/// The line of git's that says why: the last "fatal:" or "error:", else the last one that is not empty.
std::string_view telling_line(std::string_view text) {
  std::string_view best;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.empty()) continue;
    const bool telling = line.starts_with("fatal: ") || line.starts_with("error: ");
    const bool best_telling = best.starts_with("fatal: ") || best.starts_with("error: ");
    if (telling && line.starts_with("fatal: Could not read from remote repository"))
      continue;  // the one before says more
    if (telling || !best_telling) best = line;
  }
  return best;
}

}  // namespace

bool looks_damaged(const Error& error) noexcept {
  if (error.code == damaged_code) return true;
  static constexpr std::array<std::string_view, 9> signs{"not a git repository",
                                                         "bad object",
                                                         "object file",
                                                         "corrupt",
                                                         "unable to read",
                                                         "missing blob",
                                                         "missing tree",
                                                         "bad config",
                                                         "did not send all necessary objects"};
  return std::ranges::any_of(error.causes, [](const std::string& cause) {
    return std::ranges::any_of(signs, [&](std::string_view sign) { return cause.contains(sign); });
  });
}

Error classify(const std::string& what, int exit_code, const std::string& error_output, bool network) {
  Error error(network ? ErrorKind::unavailable : ErrorKind::internal, what);
  for (const auto& saying : sayings) {
    if (!error_output.contains(saying.part)) continue;
    error.kind = saying.kind;
    break;
  }
  error.code = fmt::format("git {}", exit_code);
  std::string line = clean_line(telling_line(error_output), 300);
  if (!line.empty()) error.causes.push_back(std::move(line));
  return error;
}

}  // namespace opi::git
