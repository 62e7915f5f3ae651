#pragma once
/// @file
/// How a credential stands in its table; shared by the files that read it.

#include <array>
#include <string>
#include <string_view>

#include "store/credential_journal.hpp"
#include "store/row_reader.hpp"

namespace opi::store {

inline constexpr std::array<std::string_view, 3> login_slot_names{"a", "b", "ro"};
inline constexpr std::array<std::string_view, 6> credential_state_names{"intent",    "applied", "verified",
                                                                        "published", "done",    "retired"};

/// Columns of `opi.credentials c`, in the order that read_credential_summary reads.
std::string credential_summary_columns();
CredentialSummary read_credential_summary(RowReader* reader);

/// Columns of `opi.credentials c JOIN opi.deployments d`, in the order that read_credential reads.
std::string credential_columns();
Credential read_credential(RowReader* reader);

}  // namespace opi::store
