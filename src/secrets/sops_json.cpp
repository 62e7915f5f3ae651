// JSON to a document and back: key order kept, numbers as SOPS tells them apart, text as Go's encoder writes it.
#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <optional>

#include "secrets/sops_formats.hpp"
#include "secrets/sops_numbers.hpp"

namespace opi::secrets::sops {
namespace {

/// Bytes of one well-formed character at the start of `text`, 0 when there is none.
std::size_t character_size(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return 1;
  const std::size_t size = byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : 2;
  if (byte(0) < 0xC2 || byte(0) > 0xF4 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return 0;
  }
  const bool overlong = (byte(0) == 0xE0 && byte(1) < 0xA0) || (byte(0) == 0xF0 && byte(1) < 0x90);
  const bool surrogate = byte(0) == 0xED && byte(1) >= 0xA0;
  const bool beyond = byte(0) == 0xF4 && byte(1) >= 0x90;
  return overlong || surrogate || beyond ? 0 : size;
}

/// With U+FFFD for each byte that is no UTF-8, as Go's decoder reads it: what is written is then what was read.
std::string well_formed(std::string text) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = character_size(std::string_view(text).substr(at));
    if (size == 0) {
      result += "\xEF\xBF\xBD";
    } else {
      result.append(text, at, size);
    }
    at += size == 0 ? 1 : size;
  }
  wipe(text);
  return result;
}

class JsonParser {
 public:
  explicit JsonParser(std::string_view text) : text_(text) {}

  Result<Value> run() {
    skip();
    if (peek() != '{') return refuse("a JSON file is one object");
    auto value = any(0);
    if (!value) return value;
    skip();
    if (at_ != text_.size()) return refuse("something follows the object");
    return value;
  }

 private:
  char peek() const noexcept { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip() noexcept {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }

  std::unexpected<Error> refuse(std::string reason) const {
    int line = 1;
    int column = 1;
    for (const char c : text_.substr(0, at_)) {
      if (c == '\n') {
        ++line;
        column = 1;
      } else if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80) {
        ++column;
      }
    }
    return failure(Error(ErrorKind::invalid, "not valid JSON: " + reason).at({.line = line, .column = column}));
  }

  Result<Value> any(std::size_t depth) {
    if (depth > depth_max) return refuse("nested too deeply");
    if (++values_ > values_max) return refuse("too many values");
    skip();
    switch (peek()) {
      case '{': return object(depth);
      case '[': return array(depth);
      case '"': {
        auto text = string();
        if (!text) return failure(std::move(text.error()));
        return Value::of_string(std::move(*text));
      }
      case 't': return word("true", Value::of_boolean(true));
      case 'f': return word("false", Value::of_boolean(false));
      case 'n': return word("null", Value{});
      default: return number();
    }
  }

  Result<Value> word(std::string_view word, Value value) {
    if (!text_.substr(at_).starts_with(word)) return refuse("an unknown word");
    at_ += word.size();
    return value;
  }

  Result<Value> object(std::size_t depth) {
    Value map = Value::of_kind(Kind::map);
    ++at_;
    skip();
    if (peek() == '}') {
      ++at_;
      return map;
    }
    while (true) {
      skip();
      if (peek() != '"') return refuse("a key is a string");
      auto key = string();
      if (!key) return failure(std::move(key.error()));
      skip();
      if (peek() != ':') return refuse("no colon after a key");
      ++at_;
      auto value = any(depth + 1);
      if (!value) return value;
      append(map, std::move(*key), std::move(*value));
      skip();
      if (peek() == '}') break;
      if (peek() != ',') return refuse("neither a comma nor the end of an object");
      ++at_;
    }
    ++at_;
    return map;
  }

  Result<Value> array(std::size_t depth) {
    Value list = Value::of_kind(Kind::list);
    ++at_;
    skip();
    if (peek() == ']') {
      ++at_;
      return list;
    }
    while (true) {
      auto value = any(depth + 1);
      if (!value) return value;
      list.list.push_back(std::move(*value));
      skip();
      if (peek() == ']') break;
      if (peek() != ',') return refuse("neither a comma nor the end of an array");
      ++at_;
    }
    ++at_;
    return list;
  }

  Result<Value> number() {
    const std::size_t start = at_;
    const auto digits = [this] {
      const std::size_t first = at_;
      while (peek() >= '0' && peek() <= '9') ++at_;
      return at_ - first;
    };
    if (peek() == '-') ++at_;
    const bool zero = peek() == '0';
    const std::size_t whole = digits();
    if (whole == 0 || (zero && whole > 1)) return refuse("no value where one is wanted");
    bool integer = true;
    if (peek() == '.') {
      integer = false;
      ++at_;
      if (digits() == 0) return refuse("a number without digits after its point");
    }
    if (peek() == 'e' || peek() == 'E') {
      integer = false;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (digits() == 0) return refuse("a number without digits in its exponent");
    }
    const std::string_view text = text_.substr(start, at_ - start);
    if (integer) {
      if (const auto value = read_integer(text)) return Value::of_integer(*value);
    }
    const auto value = read_float(text);
    if (!value) return refuse("a number that is too large");
    return Value::of_number(*value);
  }

  std::optional<std::uint32_t> hex4() {
    if (at_ + 4 > text_.size()) return {};
    std::uint32_t code = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = text_[at_++];
      const bool lower = c >= 'a' && c <= 'f';
      const bool upper = c >= 'A' && c <= 'F';
      if (!lower && !upper && (c < '0' || c > '9')) return {};
      code = code << 4U | static_cast<std::uint32_t>(lower ? c - 'a' + 10 : upper ? c - 'A' + 10 : c - '0');
    }
    return code;
  }

  static void put(std::uint32_t code, std::string& into) {
    const auto byte = [&into](std::uint32_t bits) { into.push_back(static_cast<char>(bits)); };
    if (code < 0x80) return byte(code);
    if (code < 0x800) {
      byte(0xC0U | code >> 6U);
    } else {
      if (code < 0x10000) {
        byte(0xE0U | code >> 12U);
      } else {
        byte(0xF0U | code >> 18U);
        byte(0x80U | (code >> 12U & 0x3FU));
      }
      byte(0x80U | (code >> 6U & 0x3FU));
    }
    byte(0x80U | (code & 0x3FU));
  }

  /// Behind "\u": a lone half of a surrogate pair becomes U+FFFD.
  bool unicode(std::string& into) {
    auto code = hex4();
    if (!code) return false;
    if (*code >= 0xD800 && *code < 0xDC00 && text_.substr(at_).starts_with("\\u")) {
      const std::size_t kept = at_;
      at_ += 2;
      const auto low = hex4();
      if (!low) return false;
      if (*low >= 0xDC00 && *low < 0xE000) {
        put(0x10000 + ((*code - 0xD800) << 10U) + (*low - 0xDC00), into);
        return true;
      }
      at_ = kept;
    }
    if (*code >= 0xD800 && *code < 0xE000) code = 0xFFFD;
    put(*code, into);
    return true;
  }

  Result<std::string> string() {
    std::string value;
    ++at_;
    while (true) {
      const std::size_t special = text_.find_first_of("\"\\", at_);
      if (special == std::string_view::npos) return refuse("a string that does not end");
      for (; at_ < special; ++at_) {
        if (static_cast<unsigned char>(text_[at_]) < 0x20) return refuse("a control character in a string");
        value.push_back(text_[at_]);
      }
      ++at_;
      if (text_[special] == '"') return well_formed(std::move(value));
      const char escape = peek();
      ++at_;
      switch (escape) {
        case '"':
        case '\\':
        case '/': value.push_back(escape); break;
        case 'b': value.push_back('\b'); break;
        case 'f': value.push_back('\f'); break;
        case 'n': value.push_back('\n'); break;
        case 'r': value.push_back('\r'); break;
        case 't': value.push_back('\t'); break;
        case 'u':
          if (!unicode(value)) return refuse("an escape without four hex digits");
          break;
        default: return refuse("an unknown escape in a string");
      }
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t values_ = 0;
};

void write_string(std::string_view text, std::string& out) {
  out += '"';
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    const std::size_t size = character_size(text.substr(at));
    const std::string_view character = text.substr(at, size);
    at += size == 0 ? 1 : size;
    if (size == 0) {
      out += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      out.append("\\").push_back(c);
    } else if (c == '\n' || c == '\r' || c == '\t' || c == '\b' || c == '\f') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : c == '\b' ? "\\b" : "\\f";
    } else if ((static_cast<unsigned char>(c) < 0x20) || c == '<' || c == '>' || c == '&') {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else if (character == "\xE2\x80\xA8" || character == "\xE2\x80\xA9") {
      out += character.ends_with('\xA8') ? "\\u2028" : "\\u2029";
    } else {
      out += character;
    }
  }
  out += '"';
}

class Writer {
 public:
  explicit Writer(int indent) : step_(indent < 0 ? "\t" : std::string(static_cast<std::size_t>(indent), ' ')) {}

  Result<> write(const Value& value, std::size_t depth) {
    switch (value.kind) {
      case Kind::map: return map(value, depth);
      case Kind::list: return list(value, depth);
      case Kind::floating: {
        const auto number = write_json_number(value.number);
        if (!number) return failure(ErrorKind::invalid, "JSON has no number for infinity and NaN");
        out_ += *number;
        break;
      }
      case Kind::null: out_ += "null"; break;
      case Kind::boolean: out_ += value.boolean ? "true" : "false"; break;
      case Kind::integer: out_ += std::to_string(value.integer); break;
      case Kind::time:
      case Kind::string:
      case Kind::comment: write_string(value.text, out_); break;
    }
    return {};
  }
  std::string take() { return std::move(out_); }

 private:
  void line(std::size_t depth) {
    out_ += '\n';
    for (std::size_t i = 0; i < depth; ++i) out_ += step_;
  }

  Result<> map(const Value& value, std::size_t depth) {
    out_ += '{';
    bool any = false;
    for (const Item& item : value.map) {
      if (item.value.is(Kind::comment) && item.key.empty()) continue;
      if (any) out_ += ',';
      any = true;
      line(depth + 1);
      write_string(item.key, out_);
      out_ += ": ";
      if (auto written = write(item.value, depth + 1); !written) return written;
    }
    if (any) line(depth);
    out_ += '}';
    return {};
  }

  Result<> list(const Value& value, std::size_t depth) {
    out_ += '[';
    bool any = false;
    for (const Value& item : value.list) {
      if (item.is(Kind::comment)) continue;
      if (any) out_ += ',';
      any = true;
      line(depth + 1);
      if (auto written = write(item, depth + 1); !written) return written;
    }
    if (any) line(depth);
    out_ += ']';
    return {};
  }

  std::string step_;
  std::string out_;
};

}  // namespace

Result<Branches> read_json(std::string_view text) {
  auto value = JsonParser(text).run();
  if (!value) return failure(std::move(value.error()));
  Branches branches;
  branches.push_back(std::move(*value));
  return branches;
}

Result<std::string> write_json_value(const Value& value, int indent) {
  Writer writer(indent);
  if (auto written = writer.write(value, 0); !written) return failure(std::move(written.error()));
  return writer.take();
}

Result<std::string> write_json(const Value& map, int indent) {
  auto text = write_json_value(map, indent);
  if (text) text->push_back('\n');
  return text;
}

}  // namespace opi::secrets::sops
