#pragma once
/// @file
/// A client and the API server that it talks to.

#include <gmock/gmock.h>

#include "kube/client.hpp"
#include "support/in_time.hpp"
#include "support/kubernetes/api_server.hpp"
#include "support/run_coroutine.hpp"

namespace opi::kube::testing {

using test::in;

inline constexpr std::chrono::seconds long_enough{20};

/// Gives "Bearer token-1", "token-2" … one for each time it is asked.
class CountingSource final : public CredentialSource {
 public:
  Task<Result<Credential>> get(SteadyTime) override {
    co_return Credential{.token = SecretString("token-" + std::to_string(++asked))};
  }
  int asked = 0;
};

class ApiClientTest : public ::testing::Test {
 protected:
  Client& client() {
    if (!client_) {
      client_ =
          std::make_unique<Client>(ClusterAccess{.server = {.host = "127.0.0.1", .port = server_.port(), .tls = false},
                                                 .credentials = credentials_},
                                   options_, blocking_, Logger{});
    }
    return *client_;
  }

  template <class T>
  T run(Task<T> task) {
    return test::run_coroutine(context_, std::move(task));
  }

  /// Applies without a problem.
  Object applied(ResourceKind kind, Object object) {
    auto result = run(client().apply(kind, std::move(object), {}, in(long_enough)));
    if (!result) throw std::runtime_error(result.error().to_string());
    return std::move(*result);
  }
  void make_namespace(const std::string& name) {
    applied(namespaces, {{"metadata", Object{{"name", name}, {"labels", Object{{"created-by", "test"}}}}}});
  }
  static Object secret(const std::string& name_space, const std::string& name, const std::string& value) {
    return {{"metadata", Object{{"name", name}, {"namespace", name_space}}},
            {"type", "Opaque"},
            {"stringData", Object{{"password", value}}}};
  }

  aio::BlockingPool blocking_{1};
  asio::io_context context_;
  test::ApiServer server_{context_};
  std::shared_ptr<CredentialSource> credentials_ = fixed_credential({});
  ClientOptions options_{.requests_per_second = 0, .first_backoff = std::chrono::milliseconds(1)};
  std::unique_ptr<Client> client_;
};

}  // namespace opi::kube::testing
