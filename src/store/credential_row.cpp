#include "store/credential_row.hpp"

namespace opi::store {

std::string_view to_string(LoginSlot slot) noexcept {
  return login_slot_names[static_cast<std::size_t>(slot)];
}
std::string_view to_string(CredentialState state) noexcept {
  return credential_state_names[static_cast<std::size_t>(state)];
}

std::string credential_summary_columns() {
  return "c.id, c.slot::text, c.login, c.generation, c.state::text, c.verifier, " + microseconds("c.created_at") +
         ", " + microseconds("c.published_at") + ", " + microseconds("c.overlap_until") + ", " +
         microseconds("c.grace_until") +
         ", coalesce(c.overlap_until <= now(), false), coalesce(c.grace_until <= now(), false)";
}

CredentialSummary read_credential_summary(RowReader* reader) {
  CredentialSummary summary;
  summary.id = reader->next<std::int64_t>();
  summary.slot = enum_named<LoginSlot>(login_slot_names, reader->text());
  summary.login = reader->text();
  summary.generation = reader->next<int>();
  summary.state = enum_named<CredentialState>(credential_state_names, reader->text());
  summary.verifier = reader->text();
  summary.created_at = reader->time();
  summary.published_at = reader->time_or_null();
  summary.overlap_until = reader->time_or_null();
  summary.grace_until = reader->time_or_null();
  summary.overlap_over = reader->next<bool>();
  summary.grace_over = reader->next<bool>();
  return summary;
}

std::string credential_columns() {
  return credential_summary_columns() + ", c.deployment_id, d.stamp, c.sealed, c.sealed_to";
}

Credential read_credential(RowReader* reader) {
  CredentialSummary summary = read_credential_summary(reader);
  Credential credential;
  credential.id = summary.id;
  credential.login.slot = summary.slot;
  credential.login.login = std::move(summary.login);
  credential.generation = summary.generation;
  credential.state = summary.state;
  credential.verifier = std::move(summary.verifier);
  credential.created_at = summary.created_at;
  credential.published_at = summary.published_at;
  credential.login.deployment_id = reader->next<std::int64_t>();
  credential.login.stamp = reader->text();
  credential.sealed = reader->bytes();
  credential.sealed_to = reader->text();
  return credential;
}

}  // namespace opi::store
