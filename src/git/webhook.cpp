#include "git/webhook.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/url/encoding_opts.hpp>
#include <boost/url/parse_query.hpp>

namespace opi::git {

namespace {

namespace json = boost::json;

constexpr std::size_t names_max = 64;  ///< of URLs and branches that one request may name

int digit_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Is `hex` the HMAC of `body`? The comparison takes the same time whatever the bytes are.
bool is_hmac(std::string_view hex, const std::string& body, const SecretString& secret, const EVP_MD* digest) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> expected{};
  unsigned int size = 0;
  const std::string_view key = secret.reveal();
  if (::HMAC(digest, key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(body.data()),
             body.size(), expected.data(), &size) == nullptr)
    return false;
  if (hex.size() != std::size_t{size} * 2) return false;
  std::array<unsigned char, EVP_MAX_MD_SIZE> given{};
  for (std::size_t i = 0; i < size; ++i) {
    const int high = digit_value(hex[2 * i]);
    const int low = digit_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    given[i] = static_cast<unsigned char>(high * 16 + low);
  }
  return ::CRYPTO_memcmp(given.data(), expected.data(), size) == 0;
}

/// "sha256=…" or "sha512=…".
bool is_named_hmac(std::string_view text, const std::string& body, const SecretString& secret) {
  constexpr std::string_view sha256 = "sha256=";
  constexpr std::string_view sha512 = "sha512=";
  if (text.starts_with(sha256)) return is_hmac(text.substr(sha256.size()), body, secret, ::EVP_sha256());
  if (text.starts_with(sha512)) return is_hmac(text.substr(sha512.size()), body, secret, ::EVP_sha512());
  return false;
}

/// What stands at `path` in a JSON value, when it is text.
std::string_view text_at(const json::value& value, std::initializer_list<std::string_view> path) {
  const json::value* at = &value;
  for (const auto step : path) {
    const auto* object = at->if_object();
    if (object == nullptr) return {};
    at = object->if_contains(step);
    if (at == nullptr) return {};
  }
  const auto* text = at->if_string();
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

const json::array* array_at(const json::value& value, std::initializer_list<std::string_view> path) {
  const json::value* at = &value;
  for (const auto step : path) {
    const auto* object = at->if_object();
    at = object == nullptr ? nullptr : object->if_contains(step);
    if (at == nullptr) return nullptr;
  }
  return at->if_array();
}

void add_path(PushHint& hint, std::string_view url) {
  std::string path = repository_path(url);
  if (path.empty() || hint.paths.size() >= names_max) return;
  if (std::ranges::find(hint.paths, path) == hint.paths.end()) hint.paths.push_back(std::move(path));
}

/// A ref or a branch's name; tags and other refs are branches of nobody.
void add_ref(PushHint& hint, std::string_view ref) {
  constexpr std::string_view heads = "refs/heads/";
  if (ref.empty() || hint.branches.size() >= names_max) return;
  if (ref.starts_with(heads)) ref.remove_prefix(heads.size());
  hint.branches.emplace_back(ref);
}

void read_bitbucket(const json::value& body, PushHint& hint) {
  add_path(hint, text_at(body, {"repository", "links", "html", "href"}));
  add_path(hint, text_at(body, {"repository", "full_name"}));
  if (const auto* clones = array_at(body, {"repository", "links", "clone"})) {
    for (const auto& clone : *clones) add_path(hint, text_at(clone, {"href"}));
  }
  if (const auto* changes = array_at(body, {"push", "changes"})) {  // Cloud
    for (const auto& change : *changes) {
      add_ref(hint, text_at(change, {"new", "name"}));
      add_ref(hint, text_at(change, {"old", "name"}));  // a deleted branch has no new side
    }
  }
  if (const auto* changes = array_at(body, {"changes"})) {  // Data Center
    for (const auto& change : *changes) add_ref(hint, text_at(change, {"ref", "id"}));
  }
}

void read_body(const json::value& body, PushHint& hint) {
  if (hint.provider == "bitbucket") return read_bitbucket(body, hint);
  for (const std::string_view of : {"repository", "project"}) {
    for (const std::string_view field : {"clone_url", "ssh_url", "html_url", "git_http_url", "git_ssh_url", "http_url",
                                         "git_url", "url", "homepage", "web_url", "full_name", "path_with_namespace"})
      add_path(hint, text_at(body, {of, field}));
  }
  add_path(hint, text_at(body, {"repository"}));  // generic: the URL itself
  add_ref(hint, text_at(body, {"ref"}));
  add_ref(hint, text_at(body, {"branch"}));
}

/// Who sent it, and whether it is about a push at all.
void read_headers(const WebhookRequest& request, PushHint& hint) {
  struct Known {
    std::string_view header, provider;
    std::array<std::string_view, 4> pushes;
  };
  // Forgejo and Gitea also send GitHub's headers: they stand first.
  static constexpr std::array known{
      Known{"x-forgejo-event", "forgejo", {"push", "create", "delete", ""}},
      Known{"x-gitea-event", "gitea", {"push", "create", "delete", ""}},
      Known{"x-gogs-event", "gitea", {"push", "create", "delete", ""}},
      Known{"x-github-event", "github", {"push", "create", "delete", ""}},
      Known{"x-gitlab-event", "gitlab", {"Push Hook", "System Hook", "", ""}},
      Known{"x-event-key", "bitbucket", {"repo:push", "repo:refs_changed", "", ""}},
  };
  hint.provider = "generic";
  for (const auto& one : known) {
    const auto event = request.header(one.header);
    if (event.empty()) continue;
    hint.provider = one.provider;
    hint.push = std::ranges::find(one.pushes, event) != one.pushes.end();
    return;
  }
}

/// The JSON of a body: itself, or the field `payload` of a form.
std::string json_text(const WebhookRequest& request) {
  if (!request.header("content-type").starts_with("application/x-www-form-urlencoded")) return request.body;
  boost::urls::encoding_opts options;
  options.space_as_plus = true;
  const auto form = boost::urls::parse_query(request.body);
  if (!form) return {};
  for (const auto& field : *form)
    if (field.key == "payload") return field.value.decode(options);
  return {};
}

}  // namespace

std::string_view WebhookRequest::header(std::string_view name) const noexcept {
  for (const auto& [key, value] : headers)
    if (key == name) return value;
  return {};
}

bool proves(const WebhookRequest& request, const SecretString& secret) {
  if (secret.empty()) return false;
  bool proved = false;
  for (const std::string_view name : {"x-hub-signature-256", "x-hub-signature", "x-signature-256", "x-signature"})
    if (const auto text = request.header(name); !text.empty())
      proved = is_named_hmac(text, request.body, secret) || proved;
  for (const std::string_view name : {"x-forgejo-signature", "x-gitea-signature", "x-gogs-signature"})
    if (const auto text = request.header(name); !text.empty())
      proved = is_hmac(text, request.body, secret, ::EVP_sha256()) || proved;
  if (const auto token = request.header("x-gitlab-token"); !token.empty()) proved = secret.equals(token) || proved;
  return proved;
}

std::string repository_path(std::string_view url) {
  if (const auto scheme = url.find("://"); scheme != std::string_view::npos) {
    url.remove_prefix(scheme + 3);
    url.remove_prefix(std::min(url.size(), url.find('/')));
  } else if (const auto colon = url.find(':'); colon != std::string_view::npos && colon < url.find('/')) {
    url.remove_prefix(colon + 1);  // user@host:path
  }
  while (url.starts_with('/')) url.remove_prefix(1);
  while (url.ends_with('/')) url.remove_suffix(1);
  if (url.ends_with(".git")) url.remove_suffix(4);
  std::string path(url);
  for (char& c : path)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return path;
}

Result<PushHint> parse_push(const WebhookRequest& request) {
  PushHint hint;
  read_headers(request, hint);
  const std::string text = json_text(request);
  if (text.empty()) {
    if (hint.provider == "generic") return hint;
    return failure(ErrorKind::invalid, "the webhook has no body");
  }
  json::parse_options options;
  options.max_depth = 32;
  boost::system::error_code ec;
  const json::value body = json::parse(text, ec, {}, options);
  if (ec) return failure(ErrorKind::invalid, "the webhook's body is not JSON");
  read_body(body, hint);
  return hint;
}

WebhookOutcome WebhookReceiver::judge(const WebhookRequest& request, std::string_view name) const {
  std::vector<const WebhookTarget*> proved;
  // Every secret is tried, whatever came before: the time says nothing of which one it is.
  for (const auto& target : targets_) {
    const auto secret = target.secret();
    if (secret && proves(request, *secret) && (name.empty() || name == target.name)) proved.push_back(&target);
  }
  if (proved.empty()) return WebhookOutcome::refused;
  const auto hint = parse_push(request);
  if (!hint) return WebhookOutcome::invalid;
  if (!hint->push) return WebhookOutcome::ignored;
  bool woken = false;
  for (const auto* target : proved) {
    const bool ours = !name.empty() || hint->paths.empty() ||
                      std::ranges::find(hint->paths, repository_path(target->url)) != hint->paths.end();
    const bool followed = hint->branches.empty() || std::ranges::any_of(hint->branches, [&](const auto& branch) {
                            return std::ranges::find(target->branches, branch) != target->branches.end();
                          });
    if (!ours || !followed) continue;
    target->wake();
    woken = true;
  }
  return woken ? WebhookOutcome::woken : WebhookOutcome::ignored;
}

WebhookOutcome WebhookReceiver::receive(const WebhookRequest& request, std::string_view name) {
  const auto outcome = judge(request, name);
  switch (outcome) {
    case WebhookOutcome::woken: ++counters_.woken; break;
    case WebhookOutcome::ignored: ++counters_.ignored; break;
    case WebhookOutcome::refused: ++counters_.refused; break;
    case WebhookOutcome::invalid: ++counters_.invalid; break;
  }
  return outcome;
}

}  // namespace opi::git
