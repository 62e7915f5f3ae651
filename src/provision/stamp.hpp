#pragma once
/// @file
/// The mark of ownership that we leave in COMMENT ON ROLE, which tenants cannot write.

#include <optional>
#include <string>
#include <string_view>

namespace opi::provision {

/// Whose role it is. A plain value.
struct Stamp {
  std::string id;  ///< store::DeploymentRecord::stamp: random, so that nobody else's stamp can be taken for ours
  std::string project;
  std::string deployment;

  friend bool operator==(const Stamp&, const Stamp&) = default;
  /// "managed by opi: project=shop deployment=prod id=7c1e…". What is not a letter, digit, '-', '_' or '.' is
  /// percent-encoded.
  std::string to_comment() const;
};

/// The stamp in a comment; empty when it is anything else, however similar. Pure.
std::optional<Stamp> parse_stamp(std::string_view comment);

}  // namespace opi::provision
