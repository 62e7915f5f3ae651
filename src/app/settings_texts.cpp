#include "app/settings_texts.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <array>

#include "app/settings_git_texts.hpp"
#include "app/settings_values.hpp"
#include "provision/approval.hpp"

namespace opi::app {

namespace {

constexpr std::size_t text_bytes_max = 4'096;

Problem check_database_name(std::string_view text) {
  if (text.size() <= 63) return std::nullopt;
  return fmt::format("{} is longer than PostgreSQL's 63 bytes; write a shorter name", in_quotes(text));
}

Problem check_prefix(std::string_view text) {
  // A namespace is a DNS label of 63; half of it is left to the project's name.
  bool fine = text.size() <= 32 && !text.starts_with('-');
  for (const char c : text) fine = fine && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-');
  if (fine) return std::nullopt;
  return fmt::format("{} cannot begin a namespace; write at most 32 lower-case letters, digits and dashes",
                     in_quotes(text));
}

Problem check_host(std::string_view text) {
  const auto host = host_from(text);
  if (!host) return host.error();
  if (host->port) return fmt::format("{} has a port in it; write the host here and the port in port", in_quotes(text));
  return std::nullopt;
}

Problem check_address(std::string_view text) {
  const std::string address{text};
  std::array<unsigned char, sizeof(in6_addr)> parsed{};
  if (text == "localhost" || inet_pton(AF_INET, address.c_str(), parsed.data()) == 1 ||
      inet_pton(AF_INET6, address.c_str(), parsed.data()) == 1) {
    return std::nullopt;
  }
  return fmt::format("{} is not an address of this machine; write one like 127.0.0.1, ::1 or 0.0.0.0", in_quotes(text));
}

Problem check_approval(std::string_view text) {
  if (provision::approval_kind_named(text)) return std::nullopt;
  return fmt::format("{} is not known; write drop, clone-over or change-owner", in_quotes(text));
}

Problem check_list_host(std::string_view text) {
  const auto host = host_from(text);
  return host ? Problem{} : Problem{host.error()};
}

}  // namespace

const TextRule plain{};
const TextRule optional_text{.may_be_empty = true};
const TextRule database_name{.takes = "a name of at most 63 bytes", .check = check_database_name};
const TextRule namespace_prefix{
    .may_be_empty = true, .takes = "lower-case letters, digits and dashes, at most 32", .check = check_prefix};
const TextRule host_name{.takes = "a name, an address, or the absolute directory of a unix socket",
                         .check = check_host};
const TextRule branch_name{.takes = "a branch", .check = check_branch};
const TextRule git_url{.may_be_empty = true, .takes = "an address that Git takes", .check = check_url};
const TextRule proxy_url{.may_be_empty = true, .takes = "the address of a proxy", .check = check_proxy};
const TextRule listen_address{.takes = "an address of this machine", .check = check_address};
const TextRule path_pattern{.takes = "a pattern", .check = check_pattern};
const TextRule list_host{.takes = "a host", .check = check_list_host};
const TextRule approval_kind{.takes = "drop, clone-over or change-owner", .check = check_approval};
const TextRule project_name{.takes = "the name of a project"};
const TextRule file_name{.takes = "a file name"};
const TextRule optional_file_name{.may_be_empty = true, .takes = "a file name"};

Problem check_text(std::string_view text, const TextRule& rule) {
  if (text.empty()) return rule.may_be_empty ? Problem{} : Problem{fmt::format("is empty; write {}", rule.takes)};
  if (text.size() > text_bytes_max) {
    return fmt::format("is longer than {} bytes; write a shorter text", text_bytes_max);
  }
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == '\x7f') {
      return fmt::format("{} has a control character in it; write {}", in_quotes(text), rule.takes);
    }
  }
  return rule.check == nullptr ? Problem{} : rule.check(text);
}

}  // namespace opi::app
