#pragma once
/// @file
/// The servers that people keep their repositories on, on loopback: nginx before git-http-backend with basic
/// authentication and TLS, and sshd with a throw-away key.

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "aio/child_process.hpp"

namespace opi::test {

/// Serves every repository below `repositories` as https://localhost:PORT/NAME to user "bot" with password "hush".
/// Throws std::runtime_error when it does not come up. Ends with the object.
class HttpsGitServer {
 public:
  HttpsGitServer(const std::filesystem::path& repositories, std::filesystem::path directory);
  ~HttpsGitServer();
  HttpsGitServer(const HttpsGitServer&) = delete;
  HttpsGitServer& operator=(const HttpsGitServer&) = delete;

  std::uint16_t port() const noexcept { return port_; }
  std::string url(const std::string& name) const;
  /// https://localhost:PORT/moved/NAME, which is redirected to another port that records what it is sent.
  std::string moved_url(const std::string& name) const;
  /// The certificate to trust.
  std::filesystem::path ca_file() const { return directory_ / "cert.pem"; }
  /// What nginx logged: one line a request, with what it was sent as Authorization.
  std::string log() const;

 private:
  std::filesystem::path directory_;
  asio::io_context context_;
  std::uint16_t port_ = 0;
  std::uint16_t other_port_ = 0;
  std::optional<aio::ChildProcess> backend_;
  std::optional<aio::ChildProcess> nginx_;
};

/// sshd that lets one throw-away key in, as the user that runs the test. Ends with the object.
class SshGitServer {
 public:
  explicit SshGitServer(std::filesystem::path directory);
  ~SshGitServer();
  SshGitServer(const SshGitServer&) = delete;
  SshGitServer& operator=(const SshGitServer&) = delete;

  /// ssh://USER@127.0.0.1:PORT/PATH
  std::string url(const std::filesystem::path& repository) const;
  std::filesystem::path key_file() const { return directory_ / "key"; }
  std::filesystem::path other_key_file() const { return directory_ / "other"; }
  std::filesystem::path known_hosts_file() const { return directory_ / "known_hosts"; }
  /// Names the right host with the wrong key.
  std::filesystem::path wrong_known_hosts_file() const { return directory_ / "wrong_known_hosts"; }

 private:
  std::filesystem::path directory_;
  asio::io_context context_;
  std::uint16_t port_ = 0;
  std::optional<aio::ChildProcess> sshd_;
};

/// Runs a program to its end with a clean environment; its standard output. Throws when it fails.
std::string run_program(const std::vector<std::string>& argv, std::string input = {});

}  // namespace opi::test
