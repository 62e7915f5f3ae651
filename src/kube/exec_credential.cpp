#include "kube/exec_credential.hpp"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>

#include "aio/subprocess.hpp"

namespace opi::kube {

namespace {

namespace json = boost::json;

std::string text_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  const auto* text = value != nullptr ? value->if_string() : nullptr;
  return text != nullptr ? std::string(*text) : std::string();
}

/// RFC 3339 in UTC with or without a fraction, as Go prints times.
std::optional<WallTime> parse_time(const std::string& text) {
  std::tm parts{};
  const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return std::nullopt;
  if (*rest == '.') {
    ++rest;
    while (*rest >= '0' && *rest <= '9') ++rest;
  }
  long offset = 0;
  if (*rest == '+' || *rest == '-') {
    int hours = 0;
    int minutes = 0;
    if (std::sscanf(rest + 1, "%2d:%2d", &hours, &minutes) != 2) return std::nullopt;  // NOLINT(cert-err34-c)
    offset = (*rest == '-' ? -1 : 1) * (hours * 3600L + minutes * 60L);
    rest += 6;
  } else if (*rest == 'Z') {
    ++rest;
  }
  if (*rest != '\0') return std::nullopt;
  return std::chrono::system_clock::from_time_t(timegm(&parts) - offset);
}

/// The last lines of what a program said, on one line.
std::string last_words(std::string_view text) {
  constexpr std::size_t words_max = 400;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  std::string words(text.substr(text.size() > words_max ? text.size() - words_max : 0));
  std::ranges::replace_if(words, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, ' ');
  return words;
}

class ExecCredential final : public CredentialSource {
 public:
  ExecCredential(ExecPlugin plugin, ApiServer server, std::vector<std::string> environment)
      : plugin_(std::move(plugin)), server_(std::move(server)), environment_(std::move(environment)) {}

  Task<Result<Credential>> get(SteadyTime deadline) override {
    constexpr std::chrono::seconds run_max{60};
    const std::string program = plugin_.argv.front();
    auto result = co_await aio::run_command(command(), std::min(deadline, system_clock().steady() + run_max));
    if (!result) {
      Error error = std::move(result).error().while_doing(fmt::format("the credential plugin {}", program));
      if (!plugin_.install_hint.empty() && error.kind == ErrorKind::not_found)
        error.remedy = last_words(plugin_.install_hint);
      co_return failure(std::move(error));
    }
    if (result->exit_code != 0)
      co_return std::unexpected(
          Error(ErrorKind::denied, fmt::format("the credential plugin {} ended with {}", program, result->exit_code))
              .because(last_words(result->error_output)));
    auto credential = parse_exec_credential(result->output, plugin_.api_version);
    wipe(result->output);
    if (!credential)
      co_return failure(std::move(credential).error().while_doing(fmt::format("the credential plugin {}", program)));
    co_return credential;
  }

 private:
  aio::Command command() const {
    json::object spec{{"interactive", false}};
    if (plugin_.provide_cluster_info) {
      json::object cluster{
          {"server", fmt::format("{}://{}:{}{}", server_.tls ? "https" : "http",
                                 server_.host.contains(':') ? fmt::format("[{}]", server_.host) : server_.host,
                                 server_.port, server_.path)}};
      if (!server_.tls_name.empty()) cluster["tls-server-name"] = server_.tls_name;
      spec["cluster"] = cluster;
    }
    const json::object info{{"apiVersion", plugin_.api_version}, {"kind", "ExecCredential"}, {"spec", spec}};
    aio::Command command{.argv = plugin_.argv, .environment = environment_, .output_max = 1 << 20};
    for (const auto& [name, value] : plugin_.environment)
      command.environment.push_back(fmt::format("{}={}", name, value));
    command.environment.push_back("KUBERNETES_EXEC_INFO=" + json::serialize(info));
    return command;
  }

  ExecPlugin plugin_;
  ApiServer server_;
  std::vector<std::string> environment_;
};

}  // namespace

std::shared_ptr<CredentialSource> exec_credential(ExecPlugin plugin, ApiServer server,
                                                  std::vector<std::string> environment) {
  return std::make_shared<ExecCredential>(std::move(plugin), std::move(server), std::move(environment));
}

Result<Credential> parse_exec_credential(std::string_view output, std::string_view api_version) {
  const auto refuse = [](std::string why) { return failure(ErrorKind::invalid, std::move(why)); };
  boost::system::error_code error;
  const json::value value = json::parse(output, error);
  if (error || !value.is_object()) return refuse("it did not print a JSON object");
  const auto& object = value.get_object();
  if (text_of(object, "kind") != "ExecCredential") return refuse("it did not print an ExecCredential");
  if (text_of(object, "apiVersion") != api_version)
    return refuse(fmt::format("it did not answer in the version asked for, {}", api_version));
  const auto* status = object.if_contains("status");
  if (status == nullptr || !status->is_object()) return refuse("its answer has no status");
  const auto& fields = status->get_object();
  Credential credential;
  credential.token = SecretString::take(text_of(fields, "token"));
  credential.certificate_pem = text_of(fields, "clientCertificateData");
  credential.key_pem = SecretString::take(text_of(fields, "clientKeyData"));
  if (credential.certificate_pem.empty() != credential.key_pem.empty())
    return refuse("it gave a client certificate without its key, or a key without its certificate");
  if (credential.token.empty() && credential.key_pem.empty())
    return refuse("it gave neither a token nor a client certificate");
  if (const std::string expires = text_of(fields, "expirationTimestamp"); !expires.empty()) {
    credential.expires = parse_time(expires);
    if (!credential.expires) return refuse("its expirationTimestamp is no RFC 3339 time");
  }
  return credential;
}

}  // namespace opi::kube
