#pragma once
/// @file
/// What the operator decides: the typed form of `opi.yaml`, where each value also knows where it came from.
///
/// Plain values with their defaults; no I/O here. `settings_loader.hpp` fills them, `settings_fields.hpp` lists every
/// field with its documentation, `settings_rooms.hpp` turns them into the plain settings that each room takes.

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/place.hpp"
#include "base/result.hpp"
#include "base/secret_string.hpp"
#include "git/mirror_settings.hpp"
#include "pg/settings.hpp"
#include "provision/cluster_objects.hpp"
#include "provision/desired_state.hpp"
#include "provision/drift.hpp"
#include "provision/gitops_manifests.hpp"

namespace opi::app {

/// Who said a value. A plain value.
struct Origin {
  enum class Source { by_default, file, environment };
  Source source = Source::by_default;
  Place place = {};           ///< file: where in it
  std::string variable = {};  ///< environment: the variable's name

  bool given() const noexcept { return source != Source::by_default; }
  /// "default", "opi.yaml:9:5" or "environment variable OPI_HTTP__PORT".
  std::string to_string() const;
};

/// A value and who said it. Reads like a pointer: `*settings.http.port`.
template <class T>
struct Setting {
  T value{};
  Origin origin = {};

  const T& operator*() const noexcept { return value; }
  const T* operator->() const noexcept { return &value; }
};

/// A secret given directly (`password`) or as the name of a file that holds it (`password_file`); never both.
/// Copies share the bytes. Safe from any thread once loaded.
struct SecretSetting {
  std::shared_ptr<const SecretString> bytes = {};  ///< given directly; null otherwise
  Origin origin = {};                              ///< of `bytes`
  Setting<std::string> file = {};                  ///< absolute path; empty: none

  bool given() const noexcept { return bytes != nullptr || !file->empty(); }
  /// The secret now: the bytes, or the file read anew, so that a replaced file is a rotated secret. One trailing line
  /// break is not part of it. Blocking (a small file). Errors: not_found when nothing is given or the file is missing,
  /// denied, invalid (empty, or over 64 KiB).
  Result<SecretString> read() const;
  /// "default", the place or variable of the value, or "file /run/secrets/db, named by opi.yaml:9:5".
  std::string origin_text() const;
};

enum class LogFormat { automatic, text, json };

struct LogSettings {
  Setting<LogLevel> level{LogLevel::info};
  Setting<LogFormat> format{LogFormat::automatic};  ///< automatic: text on a terminal, JSON lines otherwise
};

enum class ClusterTargetKind { none, kubernetes, gitops };

/// What namespaces carry and hold. Lists are of "key=value".
struct NamespaceSettings {
  Setting<std::vector<std::string>> labels{};
  Setting<std::vector<std::string>> annotations{};
  Setting<std::string> enforce{"baseline"};
  Setting<std::string> warn{"restricted"};
  Setting<std::string> audit{"restricted"};
  Setting<std::string> pod_security_version{"latest"};
  Setting<std::string> argocd_namespace{};
  Setting<std::vector<std::string>> quota{};
  Setting<std::vector<std::string>> limits_default{};
  Setting<std::vector<std::string>> limits_request{};
  Setting<std::vector<std::string>> limits_max{};
  Setting<provision::ClusterRules::Traffic> traffic{provision::ClusterRules::Traffic::open};
  Setting<std::vector<std::string>> platform{provision::ClusterRules{}.platform_namespaces};
  Setting<provision::DriftPolicy> drift{provision::DriftPolicy::fix};
};

/// Credential Secrets and keys.
struct ClusterSecretSettings {
  Setting<std::vector<std::string>> annotations{};
  Setting<std::vector<std::string>> templates{};
  Setting<provision::DriftPolicy> drift{provision::DriftPolicy::fix};
  Setting<std::chrono::milliseconds> key_overlap{std::chrono::hours{24}};
};

struct KubernetesSettings {
  Setting<std::string> kubeconfig{};  ///< empty: we are in the cluster
  Setting<std::string> context{};
  Setting<bool> insecure{false};
  Setting<std::uint32_t> requests_per_second{50};
  Setting<std::uint32_t> requests_burst{100};
  Setting<std::uint32_t> connections{8};
};

/// A repository that is written to.
struct GitopsSettings {
  Setting<std::string> url{};
  Setting<std::string> branch{"main"};
  Setting<std::string> path{};
  Setting<provision::GitopsWiring> wiring{provision::GitopsWiring::flux};
  Setting<std::string> flux_source{"flux-system"};
  Setting<std::string> flux_namespace{"flux-system"};
  Setting<std::vector<std::string>> key_recipients{};  ///< empty: the platform key's
  Setting<std::string> username{};
  SecretSetting password{};
  Setting<std::string> ca_file{};
  Setting<std::string> proxy{};
  Setting<std::string> ssh_key_file{};
  Setting<std::string> ssh_known_hosts_file{};
  Setting<std::string> author_name{"Operations Manager"};
  Setting<std::string> author_email{"operations-manager@localhost"};
};

struct ClusterSettings {
  Setting<std::string> name{"local"};  ///< deployments of this cluster are ours
  Setting<std::string> namespace_prefix{"rig-"};
  Setting<ClusterTargetKind> target{ClusterTargetKind::none};
  NamespaceSettings namespaces{};
  ClusterSecretSettings secrets{};
  KubernetesSettings kubernetes{};
  GitopsSettings gitops{};
};

struct ControlSettings {
  Setting<std::string> database{"opi"};  ///< what pool `main` connects to
};

struct PoolLimits {
  Setting<std::uint32_t> min{2};
  Setting<std::uint32_t> max{10};
  Setting<std::uint32_t> max_waiting{1'000};
  Setting<std::chrono::milliseconds> acquire_timeout{std::chrono::seconds{30}};
  Setting<std::chrono::milliseconds> max_lifetime{std::chrono::minutes{30}};
  Setting<double> lifetime_jitter{0.2};
  Setting<std::chrono::milliseconds> idle_timeout{std::chrono::minutes{10}};
  Setting<std::chrono::milliseconds> ping_after_idle{std::chrono::seconds{30}};
  Setting<std::chrono::milliseconds> ping_timeout{std::chrono::seconds{1}};
  Setting<std::chrono::milliseconds> leak_after{std::chrono::seconds{60}};
  Setting<pg::ResetProfile> reset{pg::ResetProfile::smart};
};

struct TlsSettings {
  Setting<pg::TlsMode> mode{pg::TlsMode::prefer};
  Setting<std::string> ca_file{};
  Setting<pg::ChannelBinding> channel_binding{pg::ChannelBinding::prefer};
};

/// One entry of `databases:`: a server and the pool of connections to it.
struct DatabaseSettings {
  Origin origin = {};                         ///< of the entry itself
  Setting<std::string> host{"127.0.0.1"};     ///< name, address, or the absolute directory of a unix socket
  Setting<std::vector<std::string>> hosts{};  ///< several of one cluster, "host", "host:port" or "[v6]:port", in order
  Setting<std::uint16_t> port{5432};
  Setting<pg::SessionTarget> target{pg::SessionTarget::read_write};
  Setting<pg::HostOrder> load_balance{pg::HostOrder::listed};
  Setting<std::chrono::milliseconds> role_recheck{std::chrono::seconds{10}};
  Setting<std::string> user{"postgres"};
  SecretSetting password{};
  Setting<std::string> database{"postgres"};  ///< of further pools only: `main` connects to control.database
  TlsSettings tls{};
  Setting<std::chrono::milliseconds> connect_timeout{std::chrono::seconds{10}};
  Setting<std::chrono::milliseconds> statement_timeout{std::chrono::seconds{60}};
  Setting<std::chrono::milliseconds> lock_timeout{std::chrono::seconds{30}};
  Setting<std::chrono::milliseconds> idle_in_transaction_timeout{std::chrono::seconds{60}};
  Setting<std::string> application_name{"opi"};
  Setting<std::vector<std::string>> application_hosts{};  ///< where applications reach it; empty: where we do
  Setting<std::vector<std::string>> projects{};           ///< who may name this pool; "*" is everybody, main's default
  Setting<std::uint32_t> connections{0};                  ///< to this server at most; 0: beside the pool's, parallelism

  PoolLimits pool{};

  /// Whether project files of `project` may put their databases there.
  bool open_to(std::string_view project) const noexcept;
};

/// Which commits have to be signed, and by whom.
struct VerifySettings {
  Setting<git::VerifyMode> mode{git::VerifyMode::none};
  Setting<std::string> allowed_signers_file{};
  Setting<std::string> openpgp_keyring_file{};
};

/// A repository of project files. Absent (an empty url): nothing is monitored.
struct RepositorySettings {
  Origin origin = {};  ///< of the entry itself, below `repositories`
  Setting<std::string> url{};
  Setting<std::string> branch{"main"};
  Setting<std::vector<std::string>> branches{};  ///< several; instead of `branch`
  Setting<std::vector<std::string>> paths{{"projects/*.yaml", "projects/*.yml"}};
  Setting<std::chrono::milliseconds> poll_interval{std::chrono::seconds{120}};
  Setting<std::chrono::milliseconds> timeout{std::chrono::seconds{60}};  ///< of one remote operation
  Setting<std::string> username{};
  SecretSetting password{};
  Setting<std::string> ssh_key_file{};
  Setting<std::string> ssh_known_hosts_file{};
  Setting<std::string> ca_file{};
  Setting<std::string> proxy{};
  Setting<std::uint32_t> file_bytes_max{1U << 20U};
  Setting<std::uint32_t> files_max{10'000};
  VerifySettings verify{};
  SecretSetting webhook_secret{};           ///< without one no webhook wakes this repository
  Setting<std::string> mirror_directory{};  ///< empty: `mirror`, or `mirrors/<name>`, in state.directory

  bool configured() const noexcept { return !url->empty(); }
  std::vector<std::string> followed() const { return branches->empty() ? std::vector{*branch} : *branches; }
};

struct ProjectsSettings {
  RepositorySettings repository{};                                        ///< the one, called "projects"
  std::map<std::string, RepositorySettings, std::less<>> repositories{};  ///< further ones, by name
};

struct SecretsSettings {
  SecretSetting platform_key{};  ///< age identity; without one nothing can be provisioned
};

struct HttpLimits {
  Setting<std::uint32_t> header_bytes{16U << 10U};
  Setting<std::uint32_t> body_bytes{1U << 20U};
  Setting<std::chrono::milliseconds> header_time{std::chrono::seconds{10}};
  Setting<std::chrono::milliseconds> body_time{std::chrono::seconds{30}};
  Setting<std::chrono::milliseconds> write_time{std::chrono::seconds{30}};
  Setting<std::chrono::milliseconds> idle_time{std::chrono::seconds{60}};
  Setting<std::uint32_t> requests_per_connection{1'000};
  Setting<std::uint32_t> connections{512};
};

struct HttpSettings {
  Setting<std::string> address{"127.0.0.1"};
  Setting<std::uint16_t> port{8080};  ///< 0: any free one
  HttpLimits limits{};
};

struct ProbeSettings {
  Setting<std::string> address{"127.0.0.1"};
  Setting<std::uint16_t> port{8001};  ///< 0: any free one
};

struct ProvisionSettings {
  Setting<std::uint32_t> parallelism{4};  ///< deployments worked on at the same time
  Setting<std::chrono::milliseconds> resync_interval{std::chrono::minutes{10}};  ///< 0: never
  Setting<std::chrono::milliseconds> deep_interval{std::chrono::hours{24}};      ///< 0: never
  Setting<std::chrono::milliseconds> deadline{std::chrono::minutes{2}};          ///< of one deployment's flow
  Setting<std::vector<std::string>> extensions{provision::DesiredRules{}.allowed_extensions};  ///< may be declared
  Setting<std::vector<std::string>> approval{};  ///< kinds of action that are only done when somebody approved them
};

struct CloneSettings {
  Setting<std::string> pg_dump{"pg_dump"};  ///< a path, or a name in /usr/local/bin, /usr/bin or /bin
  Setting<std::string> pg_restore{"pg_restore"};
  Setting<std::chrono::milliseconds> timeout{std::chrono::hours{1}};  ///< of one copy
};

struct HistorySettings {
  Setting<std::chrono::milliseconds> retention{std::chrono::hours{24 * 90}};  ///< 0: for ever
};

/// Passwords of deployments.
struct RotationSettings {
  Setting<std::chrono::milliseconds> overlap{std::chrono::hours{24}};
  Setting<std::chrono::milliseconds> grace{std::chrono::hours{24}};
  Setting<std::chrono::milliseconds> interval{};  ///< 0: on demand only
};

enum class RemovalDefault { remove, keep };

/// What is done about differences that somebody made, by provision::DriftField.
struct DriftSettings {
  std::array<Setting<provision::DriftPolicy>, provision::drift_field_count> policies{};

  DriftSettings() {
    const provision::DriftPolicies usual;
    for (std::size_t i = 0; i < policies.size(); ++i) policies[i].value = usual.of[i];
  }
};

/// Deployments that no project file declares any more.
struct RemovalSettings {
  Setting<RemovalDefault> by_default{RemovalDefault::remove};
  Setting<std::chrono::milliseconds> grace{std::chrono::hours{24 * 30}};
  Setting<std::uint32_t> most{10};
  Setting<std::uint32_t> most_percent{25};
  Setting<std::string> dump_directory{};  ///< empty: no last dump is made
  Setting<std::string> pg_dump{"pg_dump"};
  Setting<std::chrono::milliseconds> dump_deadline{std::chrono::hours{1}};
};

struct PrivatePostgresSetting {
  Setting<std::string> directory{};  ///< empty: somebody else runs the server of `main`
};

struct StateSettings {
  Setting<std::string> directory{"/var/lib/opi"};
};

/// The whole of `opi.yaml`, checked: whoever holds one that the loader returned need not check again.
/// A plain value: copies are independent (secrets share their bytes); safe to read from any thread.
struct Settings {
  std::string file = {};                            ///< what was read; "" when everything came from the environment
  Setting<std::string> environment{"development"};  ///< shown in the banner
  LogSettings log{};
  ClusterSettings cluster{};
  ControlSettings control{};
  std::map<std::string, DatabaseSettings, std::less<>> databases{};  ///< by pool name; has `main`
  PrivatePostgresSetting private_postgres{};
  ProjectsSettings projects{};
  SecretsSettings secrets{};
  HttpSettings http{};
  ProbeSettings probes{};
  ProvisionSettings provision{};
  CloneSettings clone{};
  HistorySettings history{};
  RotationSettings rotation{};
  RemovalSettings removal{};
  DriftSettings drift{};
  StateSettings state{};
};

}  // namespace opi::app
