#include "provision/acl.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace opi::provision {
namespace {

/// Reads from the front of a text; the rest stays.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }
  bool take(char wanted) {
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }

  /// A role's name, plain or in double quotes (in which a double quote is doubled), up to one of `ends`.
  std::string name(std::string_view ends) {
    std::string read;
    bool quoted = false;
    while (!rest_.empty()) {
      const char c = rest_.front();
      if (c == '"') {
        rest_.remove_prefix(1);
        if (quoted && take('"')) {
          read += '"';
        } else {
          quoted = !quoted;
        }
        continue;
      }
      if (!quoted && ends.find(c) != std::string_view::npos) break;
      read += c;
      rest_.remove_prefix(1);
    }
    return read;
  }

  void privileges(AclEntry& into) {
    while (!rest_.empty() && rest_.front() != '/') {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '*') {
        if (!into.privileges.empty()) into.grantable += into.privileges.back();
      } else {
        into.privileges += c;
      }
    }
  }

 private:
  std::string_view rest_;
};

constexpr std::array<std::pair<char, std::string_view>, 14> names_of_letters{{
    {'a', "INSERT"},
    {'r', "SELECT"},
    {'w', "UPDATE"},
    {'d', "DELETE"},
    {'D', "TRUNCATE"},
    {'x', "REFERENCES"},
    {'t', "TRIGGER"},
    {'X', "EXECUTE"},
    {'U', "USAGE"},
    {'C', "CREATE"},
    {'T', "TEMPORARY"},
    {'c', "CONNECT"},
    {'s', "SET"},
    {'m', "MAINTAIN"},
}};

}  // namespace

Result<Acl> parse_acl(std::string_view text) {
  Acl acl;
  Reader reader(text);
  while (!reader.done()) {
    AclEntry entry;
    entry.grantee = reader.name("=");
    if (!reader.take('=')) return failure(ErrorKind::invalid, "an access list entry without \"=\"");
    reader.privileges(entry);
    if (!reader.take('/')) return failure(ErrorKind::invalid, "an access list entry without \"/\"");
    entry.grantor = reader.name("\n");
    acl.push_back(std::move(entry));
    if (!reader.done() && !reader.take('\n'))
      return failure(ErrorKind::invalid, "access list entries that are not separated");
  }
  return acl;
}

std::string privileges_of(const Acl& acl, std::string_view grantee) {
  std::string letters;
  for (const auto& entry : acl) {
    if (entry.grantee != grantee) continue;
    for (const char letter : entry.privileges) {
      if (letters.find(letter) == std::string::npos) letters += letter;
    }
  }
  return letters;
}

std::string privilege_names(std::string_view letters) {
  std::string names;
  for (const char letter : letters) {
    if (!names.empty()) names += ", ";
    std::string_view name(&letter, 1);
    for (const auto& [known, known_name] : names_of_letters) {
      if (known == letter) name = known_name;
    }
    names += name;
  }
  return names;
}

}  // namespace opi::provision
