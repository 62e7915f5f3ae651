// INI as the library that SOPS reads it with understands it: sections, "=" or ":", quotes, continuation lines,
// comments.
#include <algorithm>

#include "secrets/sops_formats.hpp"

namespace opi::secrets::sops {
namespace {

constexpr std::string_view default_section = "DEFAULT";
constexpr std::string_view blanks = " \t\r\n\v\f";
constexpr std::string_view triple = "\"\"\"";

std::string_view trim_left(std::string_view text) {
  const std::size_t first = text.find_first_not_of(blanks);
  return first == std::string_view::npos ? std::string_view{} : text.substr(first);
}

std::string_view trim(std::string_view text) {
  text = trim_left(text);
  const std::size_t last = text.find_last_not_of(blanks);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

/// "'…'" or "\"…\"" with no such quote inside.
bool quoted(std::string_view text, char quote) {
  return text.size() >= 2 && text.front() == quote && text.find(quote, 1) == text.size() - 1;
}

class IniParser {
 public:
  explicit IniParser(std::string_view text) : rest_(text) {
    if (rest_.starts_with("\xEF\xBB\xBF")) rest_.remove_prefix(3);
  }

  Result<Value> run() {
    Value file = Value::of_kind(Kind::map);
    append(file, std::string(default_section), Value::of_kind(Kind::map));
    while (!rest_.empty()) {
      const std::string_view line = trim_left(take_line());
      if (line.empty()) continue;
      if (++lines_ > values_max) return refuse("too many lines");
      if (line[0] == '#' || line[0] == ';') {
        comment_ += line;
      } else if (line[0] == '[') {
        if (auto opened = section(line, file); !opened) return failure(std::move(opened.error()));
      } else if (auto taken = key(line, file.map.back().value); !taken) {
        return failure(std::move(taken.error()));
      }
    }
    return file;
  }

 private:
  /// With its line feed.
  std::string_view take_line() {
    const std::size_t end = rest_.find('\n');
    const std::string_view line = rest_.substr(0, end == std::string_view::npos ? end : end + 1);
    rest_.remove_prefix(line.size());
    ++number_;
    return line;
  }

  std::unexpected<Error> refuse(std::string reason) const {
    return failure(Error(ErrorKind::invalid, "not valid INI: " + reason).at({.line = number_, .column = 1}));
  }

  /// What was collected, without its first mark.
  void put_comment(Value& into) {
    std::string_view text = trim(comment_);
    if (!text.empty()) {
      const char mark = text[0];
      if (mark == '#' || mark == ';') {
        const std::size_t first = text.find_first_not_of(mark == '#' ? "# " : "; ");
        text = first == std::string_view::npos ? std::string_view{} : text.substr(first);
      }
      append(into, {}, Value::of_comment(std::string(text)));
    }
    comment_.clear();
  }

  Result<> section(std::string_view line, Value& file) {
    const std::size_t end = line.rfind(']');
    if (end == std::string_view::npos) return refuse("a section that is not closed");
    const std::string_view name = line.substr(1, end - 1);
    if (name.empty()) return refuse("a section without a name");
    const std::size_t mark = line.find_first_of("#;", end);
    if (mark != std::string_view::npos) comment_ += line.substr(mark);
    // The section that everything starts with is there already.
    if (name != default_section || file.map.size() > 1) {
      append(file, std::string(name), Value::of_kind(Kind::map));
    }
    put_comment(file.map.back().value);
    return {};
  }

  Result<> key(std::string_view line, Value& into) {
    std::string_view quote;
    if (line.starts_with(triple) && line.size() > 6) {
      quote = triple;
    } else if (line[0] == '"' || line[0] == '`') {
      quote = line.substr(0, 1);
    }
    std::string_view name;
    std::size_t delimiter = 0;
    if (quote.empty()) {
      delimiter = line.find_first_of("=:");
      if (delimiter == std::string_view::npos) return refuse("a line without \"=\"");
      if (delimiter == 0) return refuse("a key without a name");
      name = trim(line.substr(0, delimiter));
    } else {
      const std::size_t end = line.find(quote, quote.size());
      if (end == std::string_view::npos) return refuse("a quoted key that does not end");
      delimiter = line.find_first_of("=:", end + quote.size());
      if (delimiter == std::string_view::npos) return refuse("a line without \"=\"");
      name = trim(line.substr(quote.size(), end - quote.size()));
    }
    const std::string key_name(name);
    auto text = value(line.substr(delimiter + 1));
    if (!text) return failure(std::move(text.error()));
    // The last one of a name wins, at the place of the first.
    const auto same = std::ranges::find_if(
        into.map, [&](const Item& item) { return !item.value.is(Kind::comment) && item.key == key_name; });
    if (same == into.map.end()) {
      append(into, key_name, Value::of_string(std::move(*text)));
    } else {
      same->value = Value::of_string(std::move(*text));
    }
    put_comment(into);
    return {};
  }

  Result<std::string> value(std::string_view text) {
    std::string_view line = trim_left(text);
    if (line.empty()) return std::string{};
    std::string_view quote;
    if (line.starts_with(triple) && line.size() > 3) {
      quote = triple;
    } else if (line[0] == '`') {
      quote = line.substr(0, 1);
    }
    if (!quote.empty()) {
      const std::string_view inside = line.substr(quote.size());
      const std::size_t end = inside.rfind(quote);
      return end == std::string_view::npos ? several_lines(inside, quote) : std::string(inside.substr(0, end));
    }
    line = trim(line);
    if (line.ends_with('\\')) return continued(line.substr(0, line.size() - 1));
    const std::size_t mark = line.find_first_of("#;");
    if (mark != std::string_view::npos) {
      comment_ += line.substr(mark);
      line = trim(line.substr(0, mark));
    }
    if (quoted(line, '\'') || quoted(line, '"')) line = line.substr(1, line.size() - 2);
    return std::string(line);
  }

  Result<std::string> several_lines(std::string_view first, std::string_view quote) {
    std::string text(first);
    while (!rest_.empty()) {
      const std::string_view line = take_line();
      const std::size_t end = line.rfind(quote);
      if (end == std::string_view::npos) {
        text += line;
        continue;
      }
      text += line.substr(0, end);
      const std::size_t mark = line.find_first_of("#;", end);
      if (mark != std::string_view::npos) comment_ += trim(line.substr(mark));
      return text;
    }
    return refuse("a quoted value that does not end");
  }

  std::string continued(std::string_view first) {
    std::string text(first);
    while (!rest_.empty()) {
      const std::string_view next = trim(take_line());
      if (next.empty()) break;
      text += next;
      if (!text.ends_with('\\')) break;
      text.pop_back();
    }
    return text;
  }

  std::string_view rest_;
  std::string comment_;
  int number_ = 0;
  std::size_t lines_ = 0;
};

std::string written_key(const std::string& key) {
  if (key.find_first_of("\"=:") != std::string::npos) return "`" + key + "`";
  if (key.find('`') != std::string::npos) return std::string(triple) + key + std::string(triple);
  return key;
}

std::string written_value(const std::string& value) {
  if (value.find_first_of("\n`") != std::string::npos) return std::string(triple) + value + std::string(triple);
  if (value.find_first_of("#;") != std::string::npos) return "`" + value + "`";
  if (trim(value).size() != value.size()) return "\"" + value + "\"";
  return value;
}

void write_comment(std::string_view comment, std::string& out) {
  if (comment.empty()) return;
  while (true) {
    const std::size_t end = comment.find('\n');
    std::string_view line = trim(comment.substr(0, end));
    const bool marked = line.starts_with('#') || line.starts_with(';');
    out += marked ? line[0] : ';';
    out += ' ';
    out.append(trim(marked ? line.substr(1) : line)).append("\n");
    if (end == std::string_view::npos) return;
    comment.remove_prefix(end + 1);
  }
}

/// The comment that belongs to the key at `index`: it follows it.
std::string_view comment_of(const Map& map, std::size_t index) {
  if (index + 1 >= map.size() || !map[index + 1].value.is(Kind::comment)) return {};
  return map[index + 1].value.text;
}

Result<> write_section(const Item& section, bool first, bool last, std::string& out) {
  const Map& map = section.value.map;
  if (!section.value.is(Kind::map)) return failure(ErrorKind::invalid, "an INI file has sections with keys only");
  if (!map.empty() && map[0].value.is(Kind::comment)) write_comment(map[0].value.text, out);
  const bool unnamed = first && section.key == default_section;
  if (!unnamed) out.append("[").append(section.key).append("]\n");
  std::size_t widest = 0;
  bool any = false;
  for (const Item& item : map) {
    if (item.value.is(Kind::comment)) continue;
    any = true;
    if (item.value.is(Kind::map) || item.value.is(Kind::list)) {
      return failure(ErrorKind::invalid, "an INI file has no place for maps and lists inside a section");
    }
    widest = std::max(widest, written_key(item.key).size());
  }
  if (unnamed && !any) return {};
  for (std::size_t i = 0; i < map.size(); ++i) {
    if (map[i].value.is(Kind::comment)) continue;
    write_comment(comment_of(map, i), out);
    const std::string key = written_key(map[i].key);
    std::string value = as_text(map[i].value);
    out.append(key).append(widest - key.size(), ' ').append(" = ").append(written_value(value)).append("\n");
    wipe(value);
  }
  if (!last) out += '\n';
  return {};
}

/// True when both hold the same sections, keys and values; comments do not count.
bool same_values(const Value& written, const Value& read, bool sections) {
  const auto without_comments = [](const Value& map) {
    std::vector<const Item*> items;
    for (const Item& item : map.map) {
      if (!item.value.is(Kind::comment)) items.push_back(&item);
    }
    return items;
  };
  const auto mine = without_comments(written);
  auto theirs = without_comments(read);
  // The section that every file starts with is not written when it is empty, and need not be there.
  if (sections && !theirs.empty() && (mine.empty() || mine.front()->key != default_section))
    theirs.erase(theirs.begin());
  return std::ranges::equal(mine, theirs, [&](const Item* a, const Item* b) {
    if (a->key != b->key) return false;
    return a->value.is(Kind::map) ? same_values(a->value, b->value, false)
                                  : SecretString::take(as_text(a->value)).equals(b->value.text);
  });
}

}  // namespace

Result<Branches> read_ini(std::string_view text) {
  auto value = IniParser(text).run();
  if (!value) return failure(std::move(value.error()));
  Branches branches;
  branches.push_back(std::move(*value));
  return branches;
}

Result<std::string> write_ini(const Value& map) {
  std::string out;
  bool first = true;
  std::size_t left = static_cast<std::size_t>(
      std::ranges::count_if(map.map, [](const Item& item) { return !item.value.is(Kind::comment); }));
  for (const Item& section : map.map) {
    if (section.value.is(Kind::comment)) continue;
    if (auto written = write_section(section, std::exchange(first, false), --left == 0, out); !written) {
      return failure(std::move(written.error()));
    }
  }
  // The format has no escapes: some keys and values have no form that is read as what they are.
  const auto again = IniParser(out).run();
  if (!again || !same_values(map, *again, true)) {
    return failure(ErrorKind::invalid, "a key or value that an INI file cannot hold");
  }
  return out;
}

}  // namespace opi::secrets::sops
