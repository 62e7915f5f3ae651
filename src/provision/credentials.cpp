#include "provision/credentials.hpp"

#include <fmt/format.h>

#include <array>
#include <initializer_list>

namespace opi::provision {
namespace {

bool unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

/// A text that will be a secret: grows without leaving copies behind.
class SecretText {
 public:
  SecretText() { text_.reserve(1024); }
  ~SecretText() { wipe(text_); }
  SecretText(const SecretText&) = delete;
  SecretText& operator=(const SecretText&) = delete;

  SecretText& add(std::string_view more) {
    if (text_.size() + more.size() > text_.capacity()) {
      std::string larger;
      larger.reserve((text_.size() + more.size()) * 2);
      larger = text_;
      text_.swap(larger);
      wipe(larger);
    }
    text_ += more;
    return *this;
  }
  SecretText& add_encoded(std::string_view more) {
    auto encoded = percent_encoded(more);
    add(encoded);
    wipe(encoded);
    return *this;
  }
  SecretString take() { return SecretString::take(std::move(text_)); }

 private:
  std::string text_;
};

bool is_socket(const std::string& host) {
  return host.starts_with('/');
}

void add_host(SecretText& text, const pg::HostPort& host) {
  if (host.host.find(':') != std::string::npos) {
    text.add("[").add(host.host).add("]");
  } else {
    text.add_encoded(host.host);
  }
  text.add(":").add(std::to_string(host.port));
}

void add_uri(SecretText& text, const Credentials& of) {
  text.add("postgresql://").add_encoded(of.user).add(":").add_encoded(of.password.reveal()).add("@");
  if (is_socket(of.host())) {
    text.add("/")
        .add_encoded(of.database)
        .add("?host=")
        .add_encoded(of.host())
        .add("&port=")
        .add(std::to_string(of.port()));
    return;
  }
  for (std::size_t i = 0; i < of.hosts.size(); ++i) {
    if (i != 0) text.add(",");
    add_host(text, of.hosts[i]);
  }
  text.add("/").add_encoded(of.database);
}

/// The URI with the search path in it, for clients that connect through something that drops the settings of roles.
SecretString full_uri(const Credentials& of) {
  SecretText text;
  add_uri(text, of);
  const std::string path =
      fmt::format("-csearch_path={}", fmt::join(of.schemas.empty() ? std::vector{of.schema} : of.schemas, ","));
  text.add(is_socket(of.host()) ? "&" : "?").add("options=").add_encoded(path);
  return text.take();
}

bool needs_quotes(std::string_view value) {
  for (const char c : value) {
    if (!unreserved(c) && c != '/' && c != ':' && c != '@' && c != ',' && c != '%') return true;
  }
  return false;
}

/// In single quotes, in which only the single quote itself needs care.
void add_shell_value(SecretText& text, std::string_view value) {
  if (!needs_quotes(value)) {
    text.add(value);
    return;
  }
  text.add("'");
  for (const char& c : value) {
    if (c == '\'') {
      text.add("'\\''");
    } else {
      text.add(std::string_view(&c, 1));
    }
  }
  text.add("'");
}

void add_json_string(SecretText& text, std::string_view value) {
  text.add("\"");
  for (const char& c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      text.add("\\").add(std::string_view(&c, 1));
    } else if (byte < 0x20) {
      text.add(fmt::format("\\u{:04x}", byte));
    } else {
      text.add(std::string_view(&c, 1));
    }
  }
  text.add("\"");
}

}  // namespace

std::string percent_encoded(std::string_view text) {
  static constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size() * 3);
  for (const char c : text) {
    if (unreserved(c)) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += digits[byte >> 4U];
    out += digits[byte & 15U];
  }
  return out;
}

std::vector<std::pair<std::string, SecretString>> Credentials::values() const {
  std::vector<std::pair<std::string, SecretString>> all;
  const auto add = [&all](std::initializer_list<std::string_view> keys, std::string_view value) {
    for (const auto key : keys) all.emplace_back(std::string(key), SecretString(value));
  };
  add({"DATABASE_SERVER_HOST", "APP_DATABASE_SERVER_HOST", "APP_DATABASE_SERVER"}, host());
  add({"DATABASE_SERVER_PORT", "APP_DATABASE_PORT", "APP_DATABASE_SERVER_PORT"}, std::to_string(port()));
  add({"DATABASE_SERVER_USER", "APP_DATABASE_USER"}, user);
  add({"DATABASE_PASSWORD", "APP_DATABASE_PASSWORD"}, password.reveal());
  add({"DATABASE_DB", "APP_DATABASE_DB"}, database);
  add({"DATABASE_SCHEMA", "APP_DATABASE_SCHEMA"}, schema);
  for (const auto& extra : schemas) {
    if (extra == schema || !extra.starts_with(schema + "_")) continue;
    std::string postfix = extra.substr(schema.size() + 1);
    for (char& c : postfix) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    add({"DATABASE_SCHEMA_" + postfix, "APP_DATABASE_SCHEMA_" + postfix}, extra);
  }
  const auto full = full_uri(*this);
  add({"DATABASE_SERVER_FULL", "APP_DATABASE_SERVER_FULL"}, full.reveal());
  return all;
}

SecretString Credentials::uri() const {
  SecretText text;
  add_uri(text, *this);
  return text.take();
}

SecretString Credentials::env() const {
  SecretText text;
  for (const auto& [key, value] : values()) {
    text.add(key).add("=");
    add_shell_value(text, value.reveal());
    text.add("\n");
  }
  return text.take();
}

SecretString Credentials::json() const {
  SecretText text;
  text.add("{");
  bool first = true;
  for (const auto& [key, value] : values()) {
    if (!first) text.add(",");
    first = false;
    add_json_string(text, key);
    text.add(":");
    add_json_string(text, value.reveal());
  }
  text.add("}");
  return text.take();
}

}  // namespace opi::provision
