#include "secrets/sops_walk.hpp"

#include <functional>
#include <utility>

#include "secrets/aes_gcm.hpp"
#include "secrets/keyed_hash.hpp"
#include "yaml/problems.hpp"

namespace opi::secrets::sops {
namespace {

/// One walk: where it stands, and what it does at each leaf.
class Walk {
 public:
  Walk(const WalkRules& rules, ValueCipher& cipher, bool encrypting)
      : rules_(rules), cipher_(cipher), encrypting_(encrypting) {
    if (!rules.mac_only_encrypted) return;
    const Digest start = sha256("sops");  // tells this kind of MAC from the other
    mac_.add({reinterpret_cast<const char*>(start.data()), start.size()});
  }

  Result<std::string> run(Branches& branches) {
    for (Value& branch : branches) {
      if (auto walked = map(branch); !walked) return failure(std::move(walked.error()));
    }
    return mac_.finish_hex();
  }

 private:
  Result<> map(Value& value) {
    comments_.emplace_back();
    for (Item& item : value.map) {
      const bool is_comment = item.value.is(Kind::comment);
      if (is_comment) {
        comments_.back().push_back(item.value.text);
      } else {
        path_.push_back(item.key);
      }
      auto walked = any(item.value, false);
      if (!is_comment) {
        path_.pop_back();
        comments_.back().clear();
      }
      if (!walked) return walked;
    }
    comments_.pop_back();
    return {};
  }

  Result<> list(Value& value) {
    comments_.emplace_back();
    // An empty comment would come back as an empty item.
    if (encrypting_) std::erase_if(value.list, [](const Value& i) { return i.is(Kind::comment) && i.text.empty(); });
    for (Value& item : value.list) {
      const bool is_comment = item.is(Kind::comment);
      if (is_comment) comments_.back().push_back(item.text);
      if (auto walked = any(item, true); !walked) return walked;
      if (!is_comment) comments_.back().clear();
    }
    comments_.pop_back();
    return {};
  }

  Result<> any(Value& value, bool in_list) {
    switch (value.kind) {
      case Kind::map: return map(value);
      case Kind::list: return list(value);
      case Kind::null: return {};
      default: break;
    }
    const bool chosen = rules_.chooser->encrypts(path_, comments_, value.is(Kind::comment));
    return encrypting_ ? encrypt(value, chosen, in_list) : decrypt(value, chosen, in_list);
  }

  void add_to_mac(const Value& value, bool chosen) {
    if (value.is(Kind::comment) || (rules_.mac_only_encrypted && !chosen)) return;
    const SecretString bytes = SecretString::take(value.bytes());
    mac_.add(bytes.reveal());
  }

  Result<> encrypt(Value& value, bool chosen, bool in_list) {
    add_to_mac(value, chosen);
    if (!chosen) return {};
    std::string text = cipher_.encrypt(value, place());
    if (!value.is(Kind::comment)) {
      value = Value::of_string(std::move(text));
      return {};
    }
    if (rules_.chooser->misreads_comment(text)) {
      return failure(Error(ErrorKind::invalid, "unencrypted_comment_regex matches an encrypted comment")
                         .with_code(std::string(error_codes::encrypting)));
    }
    // In a list a comment becomes an item; in a map it stays a comment.
    value = in_list ? Value::of_string(std::move(text)) : Value::of_comment(std::move(text), value.on_line);
    return {};
  }

  Result<> decrypt(Value& value, bool chosen, bool in_list) {
    if (!chosen) {
      add_to_mac(value, chosen);
      return {};
    }
    if (value.is(Kind::comment)) {
      if (auto opened = cipher_.decrypt(value.text, place())) {
        value = Value::of_comment(std::move(opened->text));  // on a line of its own from now on, as sops does it
      }
      return {};
    }
    if (!value.is(Kind::string)) return refuse("it is not encrypted, and by the rules of this file it must be");
    auto opened = cipher_.decrypt(value.text, place());
    if (!opened) return refuse(std::move(opened.error().message));
    if (opened->is(Kind::comment) && !in_list) opened->kind = Kind::string;
    value = std::move(*opened);
    add_to_mac(value, chosen);
    return {};
  }

  std::string place() const {
    std::string joined;
    for (const std::string_view key : path_) joined.append(key).append(":");
    if (path_.empty()) joined = ":";
    return joined;
  }

  std::unexpected<Error> refuse(std::string reason) const {
    std::string path;
    for (const std::string_view key : path_) path = yaml::field_path(path, key);
    return failure(Error(ErrorKind::invalid, path + " cannot be decrypted")
                       .because(std::move(reason))
                       .with_code(std::string(error_codes::value)));
  }

  WalkRules rules_;
  ValueCipher& cipher_;
  bool encrypting_;
  Sha512 mac_;
  std::vector<std::string_view> path_;
  CommentStack comments_;
};

}  // namespace

Result<std::string> encrypt_values(Branches& branches, const WalkRules& rules, ValueCipher& cipher) {
  return Walk(rules, cipher, true).run(branches);
}

Result<std::string> decrypt_values(Branches& branches, const WalkRules& rules, ValueCipher& cipher) {
  return Walk(rules, cipher, false).run(branches);
}

}  // namespace opi::secrets::sops
