#pragma once
/// @file
/// An API server for tests: the protocol of Kubernetes over real sockets for the kinds that we handle, with faults on
/// demand. What it keeps is an ObjectStore.

#include <boost/asio/io_context.hpp>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "aio/tcp_listener.hpp"
#include "aio/tls.hpp"
#include "http/message.hpp"
#include "support/kubernetes/object_store.hpp"

namespace opi::test {

/// Something that goes wrong with one request, the next one that matches.
struct ApiFault {
  enum class Kind {
    answer,      ///< `status` instead of what was asked for, nothing is done
    cut_before,  ///< the connection is closed, nothing is done
    cut_after,   ///< it is done, and the connection is closed without an answer
    cut_within,  ///< it is done, and the answer breaks off half-way
    stall,       ///< silence until the server stops
  };
  Kind kind = Kind::answer;
  int status = 500;
  std::string retry_after = {};
  std::string method = {};    ///< empty: any
  std::string fragment = {};  ///< of the target; empty: any
};

struct ApiRequest {
  std::string method;
  std::string target;
  std::string authorization;
  std::string body;
};

/// Ownership: outlives the run of its context. Threading: the context's thread.
class ApiServer {
 public:
  /// Listens on loopback, with TLS when there is a context.
  explicit ApiServer(asio::io_context& context, aio::TlsContextPtr tls = nullptr);
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  std::uint16_t port() const noexcept;
  /// Another certificate, for connections from now on; those that are open stay.
  void use_tls(aio::TlsContextPtr tls) noexcept { tls_ = std::move(tls); }
  ObjectStore& store() noexcept { return store_; }
  /// Authorization values that may do everything. With none everybody may; with one, all others need a token of a
  /// service account (TokenRequest), and the ClusterRoles that are bound to that say what it may.
  std::set<std::string>& tokens() noexcept { return tokens_; }
  /// "verb plural" pairs that are forbidden, e.g. "patch secrets".
  std::set<std::string>& forbidden() noexcept { return forbidden_; }
  std::deque<ApiFault>& faults() noexcept { return faults_; }
  const std::vector<ApiRequest>& requests() const noexcept { return requests_; }
  /// Requests with that method.
  std::size_t count(std::string_view method) const;
  std::size_t connections() const noexcept { return accepted_; }
  std::size_t watches() const noexcept;
  /// Ends every watch, cleanly or by cutting the connection.
  void end_watches(bool cut);
  /// Objects in one page of a list, at most.
  void limit_pages(std::size_t objects) noexcept { page_max_ = objects; }
  /// The server's own writes go to watches too.
  void changed();

 private:
  struct Peer;
  struct Watcher;
  static Task<> accept(ApiServer* self);
  static Task<> serve(ApiServer* self, std::shared_ptr<Peer> peer);
  Task<bool> answer(std::shared_ptr<Peer> peer, http::Request request);
  Task<bool> watch(std::shared_ptr<Peer> peer, std::string plural, std::string name_space, std::uint64_t from);
  ObjectStore::Answer act(const http::Request& request);
  ObjectStore::Answer change(const http::Request& request, const ApiKind& kind, const ApiKey& key);
  ObjectStore::Answer give_token(const http::Request& request);
  /// Why it may not, or nothing.
  std::optional<ApiFailure> refusal(const http::Request& request, const std::string& verb, const ApiKind& kind) const;
  ObjectStore::Answer act_on_collection(const http::Request& request, const ApiKind& kind, std::string name_space);
  ObjectStore::Answer list(const http::Request& request, const ApiKind& kind, const std::string& name_space) const;

  aio::TcpListener listener_;
  aio::TlsContextPtr tls_;
  ObjectStore store_;
  std::set<std::string> tokens_;
  std::map<std::string, std::string> accounts_;  ///< authorization value → "namespace/name" of a service account
  std::set<std::string> forbidden_;
  std::deque<ApiFault> faults_;
  std::vector<ApiRequest> requests_;
  std::vector<std::weak_ptr<Peer>> peers_;
  std::vector<std::shared_ptr<Watcher>> watchers_;
  std::size_t accepted_ = 0;
  std::size_t page_max_ = 500;
};

}  // namespace opi::test
