#include "provision/adopt.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "secrets/base64.hpp"
#include "yaml/parse.hpp"

namespace opi::provision {
namespace {

constexpr std::array<std::string_view, 3> password_keys{"DATABASE_PASSWORD", "APP_DATABASE_PASSWORD", "password"};

Result<SecretString> only_line(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  if (text.empty() || text.find('\n') != std::string_view::npos)
    return failure(ErrorKind::invalid, "holds neither a Secret nor one line with a password");
  return SecretString(std::string(text));
}

Result<SecretString> from_manifest(const yaml::Node& root) {
  for (const std::string_view part : {"stringData", "data"}) {
    const auto* entries = root.find(part);
    if (entries == nullptr) continue;
    for (const auto key : password_keys) {
      const auto* value = entries->find(key);
      if (value == nullptr) continue;
      if (part == "stringData") return SecretString(value->value);
      auto decoded = secrets::base64_decode(value->value);
      if (!decoded) return failure(ErrorKind::invalid, fmt::format("data.{} is not base64", key));
      return SecretString(*std::move(decoded));
    }
  }
  return failure(Error(ErrorKind::not_found, "the Secret has no DATABASE_PASSWORD, APP_DATABASE_PASSWORD or password"));
}

}  // namespace

bool is_additive(const Action& action) noexcept {
  switch (action.kind) {
    case ActionKind::restrict_role:
    case ActionKind::set_database_owner:
    case ActionKind::revoke_from_public:
    case ActionKind::set_connection_limit:
    case ActionKind::set_schema_owner:
    case ActionKind::reown_object:
    case ActionKind::revoke_public_schema:
    case ActionKind::set_login_role:
    case ActionKind::set_search_path:
    case ActionKind::enable_login:
    case ActionKind::set_password: return false;
    default: return action.sign != Sign::remove;
  }
}

void keep_additive(DeploymentPlan& plan, const project::DatabaseNames& names) {
  const auto stays = [&](const Action& action) {
    const bool our_login =
        action.subject == names.login_a || action.subject == names.login_b || action.subject == names.read_only;
    return is_additive(action) || (our_login && action.subject != names.base);
  };
  for (const auto& action : plan.actions) {
    if (!stays(action))
      plan.notes.push_back(
          fmt::format("adopted, only adding: left as it is: {} {}: {}", action.object, action.name, action.detail));
  }
  std::erase_if(plan.actions, [&](const Action& action) { return !stays(action); });
}

bool owner_still_logs_in(const store::InventoryEntry* known) noexcept {
  if (known == nullptr || known->deployment.adoption == store::Adoption::none) return false;
  return std::ranges::any_of(known->credentials, [](const store::CredentialSummary& one) {
    return one.slot == store::LoginSlot::a && one.generation == 1;
  });
}

void use_journaled_logins(DesiredDeployment& desired, const store::InventoryEntry* known) {
  // What was taken from the journal before may have been retired since.
  if (desired.names.login_a == desired.names.base)
    desired.names.login_a = project::database_names(desired.project, desired.deployment).login_a;
  if (known == nullptr) return;
  for (const auto& one : known->credentials) {
    if (one.slot == store::LoginSlot::a) desired.names.login_a = one.login;
  }
}

std::string to_text(const AdoptReport& report) {
  std::string text;
  for (const auto& [title, plan] :
       {std::pair("additive: nothing that is there works otherwise", &report.additive),
        std::pair("full: what is there becomes as it is for every deployment", &report.full)}) {
    text += fmt::format("{}\n", title);
    Plan one{.deployments = {*plan}};
    text += plan->actions.empty() && plan->notes.empty() && !plan->refusal ? "  nothing\n\n" : to_text(one) + "\n";
  }
  return text;
}

std::string to_json(const AdoptReport& report) {
  auto additive = to_json(Plan{.deployments = {report.additive}});
  auto full = to_json(Plan{.deployments = {report.full}});
  additive.pop_back();  // line breaks
  full.pop_back();
  return fmt::format("{{\"additive\":{},\"full\":{}}}\n", additive, full);
}

Result<SecretString> password_from_secret(std::string_view text, std::string file) {
  const auto document = yaml::parse(text, file);
  if (document && document->root.find("kind") != nullptr) {
    auto password = from_manifest(document->root);
    if (!password) return failure(std::move(password.error()).while_doing(file));
    return password;
  }
  auto line = only_line(text);
  if (!line) return failure(std::move(line.error()).while_doing(file));
  return line;
}

}  // namespace opi::provision
