#pragma once
/// @file
/// The SQL of an action: a pure function, every name through one quoting function.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "provision/plan.hpp"

namespace opi::provision {

/// What statements need beside the action. Borrowed; outlives the call.
struct StatementContext {
  const ServerFacts& facts;
  const DesiredDeployment& desired;
  std::string stamp = {};  ///< text for COMMENT ON ROLE
  /// SCRAM verifiers by login; only create_login (LOGIN) and set_password use them.
  std::map<std::string, std::string, std::less<>> verifiers = {};
  std::string template_database = {};  ///< what create_database copies; empty: template0

  std::string verifier_of(std::string_view login) const {
    const auto found = verifiers.find(login);
    return found == verifiers.end() ? std::string() : found->second;
  }
};

/// The statements of one action, in order, without semicolons; empty for verify_login and rotate_login, which are no
/// SQL. Actions of the stages `database` and `inside` are meant to run as the owner role, except where `runs_as_admin`
/// says otherwise.
std::vector<std::string> statements_for(const Action& action, const StatementContext& context);

/// True for an action that the owner role itself has no right to do.
bool runs_as_admin(const Action& action, const ServerFacts& facts) noexcept;

}  // namespace opi::provision
