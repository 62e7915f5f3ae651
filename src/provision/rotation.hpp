#pragma once
/// @file
/// What becomes of a deployment's two logins: which one is used, which one comes in, which one ends.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "provision/plan.hpp"
#include "store/login_rotation.hpp"

namespace opi::provision {

/// What the operator decides about passwords. A plain value.
struct RotationRules {
  /// A login that was replaced stays valid at least this long after the new one was published, however few sessions it
  /// has: whoever still has the old Secret may use it.
  std::chrono::seconds overlap{std::chrono::hours{24}};
  /// Sessions of the old login may go on this long after that; then they are ended.
  std::chrono::seconds grace{std::chrono::hours{24}};
  /// A password older than this is replaced by itself, spread over a fifth of the time; 0: on demand only.
  std::chrono::seconds interval{0};

  store::RotationTimes times() const noexcept { return {.overlap = overlap, .grace = grace}; }
};

/// How a rotation on demand goes.
enum class RotationPace {
  seamless,     ///< the old login keeps its overlap; refused while the last rotation's overlap is not over
  immediately,  ///< a password has leaked: old logins end at once, and their sessions with them
};

/// What one of the two logins is for, now.
enum class LoginFate {
  idle,      ///< no password is known for it: NOLOGIN
  incoming,  ///< its password is journaled and is being made valid
  in_use,    ///< the published one
  replaced,  ///< another was published; still valid
  ending,    ///< its time is over: disabled, its sessions ended, its password forgotten
};
std::string_view to_string(LoginFate fate) noexcept;

/// Pure. A replaced login ends when its overlap is over and it has no sessions, or its grace is over too; once it was
/// disabled, it is not enabled again. The reader's login has no twin: it is used as long as it is declared, and ends
/// then.
LoginFate fate_of(const PlanInput& input, store::LoginSlot slot) noexcept;

/// The role of a slot.
const std::string& login_of(const project::DatabaseNames& names, store::LoginSlot slot) noexcept;
/// a for b, b for a.
store::LoginSlot other_of(store::LoginSlot slot) noexcept;

/// The credential that is worked with: the one that is coming in, else the published one; null when there is none.
const store::CredentialSummary* current_login(const store::InventoryEntry& known) noexcept;
/// One that was replaced and not yet retired; null when there is none.
const store::CredentialSummary* replaced_login(const store::InventoryEntry& known) noexcept;

/// True when the password is older than the rules allow and nothing is in the way of a new one. Each deployment has its
/// own time within the last fifth of the interval, so that a thousand that were made together do not rotate together.
bool rotation_is_due(const RotationRules& rules, const store::InventoryEntry* known, WallTime now);

}  // namespace opi::provision
