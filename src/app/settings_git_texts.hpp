#pragma once
/// @file
/// What the texts of a repository's settings must be: what is wrong with one and what to write instead, or nothing.

#include <optional>
#include <string>
#include <string_view>

namespace opi::app {

std::optional<std::string> check_branch(std::string_view text);
/// An address that Git takes, without a password in it.
std::optional<std::string> check_url(std::string_view text);
/// An HTTP or SOCKS proxy that needs no credentials.
std::optional<std::string> check_proxy(std::string_view text);
/// A pattern of paths inside the repository.
std::optional<std::string> check_pattern(std::string_view text);

}  // namespace opi::app
