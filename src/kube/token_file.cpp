#include "kube/token_file.hpp"

#include <fmt/format.h>

namespace opi::kube {

namespace {

constexpr std::chrono::seconds token_age_max{60};

struct Read {
  std::string path;
  ReadFile read;
  Result<SecretString> operator()() const {
    auto text = read(path);
    if (!text) return failure(std::move(text).error().while_doing(fmt::format("reading the token in {}", path)));
    while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
    if (text->empty()) return failure(ErrorKind::invalid, fmt::format("the token in {} is empty", path));
    return SecretString::take(std::move(*text));
  }
};

class TokenFile final : public CredentialSource {
 public:
  TokenFile(std::string path, ReadFile read, aio::BlockingPool& blocking)
      : path_(std::move(path)), read_(std::move(read)), blocking_(blocking) {}

  Task<Result<Credential>> get(SteadyTime) override {
    auto token = co_await blocking_.run(Read{.path = path_, .read = read_});
    if (!token) co_return failure(std::move(token).error());
    co_return Credential{.token = std::move(*token), .expires = system_clock().wall() + token_age_max};
  }

 private:
  std::string path_;
  ReadFile read_;
  aio::BlockingPool& blocking_;
};

}  // namespace

std::shared_ptr<CredentialSource> token_file(std::string path, ReadFile read, aio::BlockingPool& blocking) {
  return std::make_shared<TokenFile>(std::move(path), std::move(read), blocking);
}

Result<ClusterAccess> in_cluster_access(const std::string& host, const std::string& port, const std::string& directory,
                                        const ReadFile& read, aio::BlockingPool& blocking) {
  if (host.empty() || port.empty())
    return std::unexpected(
        Error(ErrorKind::not_found, "this is no pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
            .with_remedy("name a kubeconfig in cluster.kubernetes.kubeconfig"));
  const std::string shown_host = host.contains(':') ? fmt::format("[{}]", host) : host;
  auto server = parse_server(fmt::format("https://{}:{}", shown_host, port));
  if (!server) return failure(std::move(server).error().while_doing("KUBERNETES_SERVICE_HOST and _PORT"));
  auto ca = read(directory + "/ca.crt");
  if (!ca) return failure(std::move(ca).error().while_doing(fmt::format("reading {}/ca.crt", directory)));
  server->ca_pem = std::move(*ca);
  return ClusterAccess{.server = std::move(*server),
                       .credentials = token_file(directory + "/token", read, blocking),
                       .name = "in-cluster"};
}

}  // namespace opi::kube
