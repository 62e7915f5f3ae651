#pragma once
/// @file
/// What an answer of the API server means when it is not the object that was asked for.
///
/// Source: Kubernetes API conventions, "HTTP status codes" and "Response status kind".

#include <chrono>
#include <optional>
#include <string_view>

#include "base/error.hpp"
#include "rest/message.hpp"

namespace opi::kube {

/// The Error of a response that is not 2xx. Its code is the HTTP status; the message holds the server's reason and
/// message, never the object. Kinds:
///   400, 415, 422  invalid, with the causes by field
///   401            denied: the credentials are not accepted
///   403            denied: the rights are missing (never "does not exist"); unavailable while a namespace is being
///                  terminated, which passes by itself
///   404            not_found
///   409            conflict; of an apply, with the other managers and the fields they own as causes
///   410            closed: the version or page asked for is gone, list again
///   413            invalid
///   429            exhausted, retry
///   others, 5xx    unavailable, retry
Error error_of(const rest::Response& response);

/// True for an error of `error_of` with this status.
bool has_status(const Error& error, int status) noexcept;

/// The Retry-After of a response in seconds form (the only one that API servers use), at most ten minutes.
std::optional<std::chrono::seconds> retry_after(const rest::Response& response) noexcept;

}  // namespace opi::kube
