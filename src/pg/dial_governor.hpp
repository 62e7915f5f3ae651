#pragma once
/// @file
/// Decides who may dial which host and when, for everyone who dials: one governor for all pools of a program.

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/backoff.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "pg/settings.hpp"

namespace opi::pg {

/// True when what failed is the host, so that everyone else would fail there too: refused, silent, unreachable,
/// shutting down, starting up, full. False for what concerns one user, database or setting.
bool blames_host(const Error& error) noexcept;
/// 57P03 and 53300: the server asks to be tried again.
bool asks_to_be_tried_again(const Error& error) noexcept;

struct GovernorLimits {
  BackoffLimits outage = {};  ///< between the dials that probe a host which failed
  /// The same while the server only asks to be tried again: it starts, or is full.
  BackoffLimits asks_again = {.first = std::chrono::milliseconds{100}, .most = std::chrono::milliseconds{2'000}};
  double dials_per_second = 100.0;  ///< of one host; 0: no cap
  std::uint32_t burst = 100;        ///< as many may come at once
  std::uint32_t ramp_max = 64;      ///< after an outage 1, 2, 4 … dials at the same time, up to this; then any number
};

/// Someone who dials: a pool, a listener. Kept by its owner; the governor forgets it when it is gone.
class DialMember {
 public:
  /// `wake` is called when something changed that the member may care about: it was refused and may be admitted now, or
  /// a host's role changed. From any thread, with locks of others held: it may only post.
  explicit DialMember(std::function<void()> wake) : wake_(std::move(wake)) {}
  void wake() const { wake_(); }

 private:
  std::function<void()> wake_;
};

class HostGate;

/// The right to dial one host once. Dropped without an outcome, the dial was given up and says nothing of the host.
class DialPermit {
 public:
  DialPermit() noexcept = default;
  DialPermit(DialPermit&& other) noexcept = default;
  DialPermit& operator=(DialPermit&& other) noexcept;
  DialPermit(const DialPermit&) = delete;
  DialPermit& operator=(const DialPermit&) = delete;
  ~DialPermit() { release(); }
  explicit operator bool() const noexcept { return gate_ != nullptr; }

  /// The host let us in.
  void succeeded(SteadyTime now);
  /// It did not; `blames_host` decides what that says of the host.
  void failed(const Error& error, SteadyTime now);
  void release() noexcept;

 private:
  friend class HostGate;
  DialPermit(std::shared_ptr<HostGate> gate, const DialMember* member) noexcept
      : gate_(std::move(gate)), member_(member) {}
  std::shared_ptr<HostGate> gate_;
  const DialMember* member_ = nullptr;
};

/// What is known of a host.
struct HostStatus {
  HostPort host = {};
  HostRole role = HostRole::unknown;
  SteadyTime role_seen{};
  std::uint32_t failures = 0;   ///< in a row; dials of one volley count once
  bool asks_again = false;      ///< the failure is one of those that the server asks to try again
  SteadyTime next_attempt{};    ///< of the probe, while it has failures
  SteadyTime down_since{};      ///< while it has failures
  std::string last_error = {};  ///< of the last dial that blamed the host, "" when it succeeded
  std::string last_sqlstate = {};
  std::uint32_t dialing = 0;

  bool down() const noexcept { return failures > 0; }
};

/// The door to one host. After a failure a single dial at a time probes it, after jittered and growing pauses; after
/// the outage the dials of all pools together ramp up.
///
/// Threading: every member from any thread.
class HostGate : public std::enable_shared_from_this<HostGate> {
 public:
  HostGate(HostPort host, GovernorLimits limits, std::uint64_t seed);

  const HostPort& host() const noexcept { return host_; }
  /// Who is told of changes.
  void join(const std::shared_ptr<DialMember>& member);

  struct Admission {
    DialPermit permit = {};
    SteadyTime next = SteadyTime::max();  ///< without a permit: not before; max: the member is woken
  };
  Admission admit(const std::shared_ptr<DialMember>& member, SteadyTime now);
  /// The next probe need not wait for its time.
  void retry_now(SteadyTime now);

  /// Somebody asked the server. A change is a new role epoch: connections of before are fenced.
  void note_role(HostRole role, SteadyTime now);
  std::uint32_t role_epoch() const noexcept { return role_epoch_.load(std::memory_order_relaxed); }

  HostStatus status() const;

 private:
  friend class DialPermit;
  struct Member {
    std::weak_ptr<DialMember> who;
    const DialMember* address = nullptr;
    bool refused = false;          ///< since it was last woken
    SteadyTime has_share_until{};  ///< of the ramp: it was refused a moment ago, and not admitted since
    std::uint32_t dialing = 0;
  };
  using Woken = std::vector<std::shared_ptr<DialMember>>;

  Member& member_of(const std::shared_ptr<DialMember>& member);
  bool take_token(SteadyTime now, SteadyTime& next);
  bool ramp_admits(const Member& member, SteadyTime now) const;
  void succeeded(const DialMember* member, SteadyTime now);
  void failed(const DialMember* member, const Error& error, SteadyTime now);
  void released(const DialMember* member) noexcept;
  void end_dial(const DialMember* member);
  Woken take_refused();
  static void wake(const Woken& members);

  const HostPort host_;
  const GovernorLimits limits_;
  std::atomic<std::uint32_t> role_epoch_ = 0;

  mutable std::mutex mutex_;
  HostStatus status_;
  Backoff outage_;
  Backoff asks_again_;
  bool recovering_ = false;
  std::uint32_t window_ = 1;
  double tokens_;
  SteadyTime refilled_{};
  std::vector<Member> members_;
};

/// The gates by host. Ownership: shared by all who dial, for a pool's state may outlive its registry. Threading: from
/// any thread.
class DialGovernor {
 public:
  explicit DialGovernor(GovernorLimits limits = {}, std::uint64_t seed = 1) : limits_(limits), seed_(seed) {}
  /// The one gate of this host as long as anyone keeps it.
  std::shared_ptr<HostGate> gate(const HostPort& host);
  /// Of every host that somebody dials.
  std::vector<HostStatus> status() const;

 private:
  const GovernorLimits limits_;
  std::uint64_t seed_;
  mutable std::mutex mutex_;
  std::map<std::string, std::weak_ptr<HostGate>> gates_;
};

}  // namespace opi::pg
