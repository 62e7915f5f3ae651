#include "kube/access.hpp"

#include <fmt/format.h>

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

namespace opi::kube {

namespace {

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

class FixedCredential final : public CredentialSource {
 public:
  explicit FixedCredential(Credential credential) : credential_(std::move(credential)) {}
  Task<Result<Credential>> get(SteadyTime) override { co_return credential_.copy(); }

 private:
  Credential credential_;
};

}  // namespace

Credential Credential::copy() const {
  return {.token = token.copy(), .certificate_pem = certificate_pem, .key_pem = key_pem.copy(), .expires = expires};
}

std::shared_ptr<CredentialSource> fixed_credential(Credential credential) {
  return std::make_shared<FixedCredential>(std::move(credential));
}

Result<ApiServer> parse_server(std::string_view text) {
  const auto refuse = [](std::string why) { return failure(ErrorKind::invalid, std::move(why)); };
  const auto parsed = boost::urls::parse_uri(text);
  if (!parsed) return refuse("the server is no URL such as https://host:6443");
  const boost::urls::url_view url = *parsed;
  ApiServer server;
  if (url.scheme() != "https" && url.scheme() != "http") return refuse("the server's URL must begin with https://");
  server.tls = url.scheme() == "https";
  if (url.has_userinfo()) return refuse("credentials do not belong into the server's URL");
  if (url.has_query() || url.has_fragment()) return refuse("the server's URL has a query or fragment");
  server.host = url.host_address();
  if (server.host.empty()) return refuse("the server's URL names no host");
  if (!server.tls && !is_loopback(server.host))
    return refuse("the server's URL is http://, which would show every Secret to the network; use https://");
  server.port = server.tls ? 443 : 80;
  if (url.has_port()) {
    server.port = url.port_number();
    if (server.port == 0) return refuse("the server's URL has no port that can be used");
  }
  server.path = std::string(url.encoded_path());
  while (server.path.ends_with('/')) server.path.pop_back();
  return server;
}

}  // namespace opi::kube
