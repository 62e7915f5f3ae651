#pragma once
/// @file
/// How the files that describe settings say what a field is: its type, its limits, its sentence.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/settings_fields.hpp"
#include "app/settings_texts.hpp"
#include "app/settings_values.hpp"

namespace opi::app {

using std::chrono::milliseconds;

inline constexpr std::uint64_t any_u32 = std::numeric_limits<std::uint32_t>::max();

template <class E>
struct Choice {
  E value;
  std::string_view name;
};

template <class E, std::size_t N>
std::string names_of(const std::array<Choice<E>, N>& choices) {
  std::string text;
  for (std::size_t i = 0; i < N; ++i) {
    if (i != 0) text += i + 1 == N ? " or " : ", ";
    text += choices[i].name;
  }
  return text;
}

inline Problem check_one(std::span<const std::string> items) {
  if (items.size() == 1) return std::nullopt;
  return "is a list; write one value";
}

/// Collects the fields of one Settings object, section by section.
class FieldList {
 public:
  std::vector<Field> take() { return std::move(fields_); }

  void enter(std::string_view section) { prefix_ += std::string(section) + "."; }
  void leave() {
    prefix_.pop_back();
    const auto dot = prefix_.rfind('.');
    prefix_.resize(dot == std::string::npos ? 0 : dot + 1);
  }

  void text(std::string_view name, Setting<std::string>& to, const TextRule& rule, std::string about,
            std::string_view rival = {}) {
    Field& field = add(name, FieldKind::text, std::string(rule.takes), std::move(about), to, rival);
    field.assign = [&to, rule](std::span<const std::string> items) -> Problem {
      if (auto problem = check_one(items)) return problem;
      if (auto problem = check_text(items[0], rule)) return problem;
      to.value = items[0];
      return std::nullopt;
    };
    field.show = [&to] { return to.value; };
  }

  void path(std::string_view name, Setting<std::string>& to, const TextRule& rule, std::string about,
            std::string_view rival = {}) {
    text(name, to, rule, std::move(about), rival);
    fields_.back().kind = FieldKind::path;
  }

  template <class Number>
  void number(std::string_view name, Setting<Number>& to, std::uint64_t least, std::uint64_t most, std::string about) {
    Field& field = add(name, FieldKind::number,
                       most == any_u32 ? "a whole number" : fmt::format("a whole number from {} to {}", least, most),
                       std::move(about), to);
    field.assign = [&to, least, most](std::span<const std::string> items) -> Problem {
      if (auto problem = check_one(items)) return problem;
      const auto value = whole_number_from(items[0], least, most);
      if (!value) return value.error();
      to.value = static_cast<Number>(*value);
      return std::nullopt;
    };
    field.show = [&to] { return fmt::format("{}", to.value); };
  }

  void share(std::string_view name, Setting<double>& to, std::string about) {
    Field& field = add(name, FieldKind::fraction, "a number from 0 to 1", std::move(about), to);
    field.assign = [&to](std::span<const std::string> items) -> Problem {
      if (auto problem = check_one(items)) return problem;
      const auto value = share_from(items[0]);
      if (!value) return value.error();
      to.value = *value;
      return std::nullopt;
    };
    field.show = [&to] { return fmt::format("{}", to.value); };
  }

  /// `least` 0 lets "0" switch the thing off.
  void duration(std::string_view name, Setting<milliseconds>& to, milliseconds least, std::string about) {
    const bool off = least.count() == 0;
    Field& field = add(name, FieldKind::duration, off ? "a duration, or 0" : "a duration", std::move(about), to);
    field.assign = [&to, least](std::span<const std::string> items) -> Problem {
      if (auto problem = check_one(items)) return problem;
      const auto value = duration_from(items[0]);
      if (!value) return value.error();
      if (*value < least) {
        return fmt::format("{} is too short; write at least {}", in_quotes(items[0]), duration_text(least));
      }
      to.value = *value;
      return std::nullopt;
    };
    field.show = [&to] { return duration_text(to.value); };
  }

  void size(std::string_view name, Setting<std::uint32_t>& to, std::uint32_t least, std::uint32_t most,
            std::string about) {
    Field& field = add(name, FieldKind::size, fmt::format("a size from {} to {}", size_text(least), size_text(most)),
                       std::move(about), to);
    field.assign = [&to, least, most](std::span<const std::string> items) -> Problem {
      if (auto problem = check_one(items)) return problem;
      const auto value = size_from(items[0], least, most);
      if (!value) return value.error();
      to.value = *value;
      return std::nullopt;
    };
    field.show = [&to] { return size_text(to.value); };
  }

  template <class E, std::size_t N>
  void choice(std::string_view name, Setting<E>& to, const std::array<Choice<E>, N>& choices, std::string about) {
    Field& field = add(name, FieldKind::choice, names_of(choices), std::move(about), to);
    field.assign = [&to, &choices](std::span<const std::string> items) -> Problem {
      if (auto problem = check_one(items)) return problem;
      for (const auto& one : choices) {
        if (one.name != items[0]) continue;
        to.value = one.value;
        return std::nullopt;
      }
      return fmt::format("{} is not known; write {}", in_quotes(items[0]), names_of(choices));
    };
    field.show = [&to, &choices] {
      for (const auto& one : choices) {
        if (one.value == to.value) return std::string(one.name);
      }
      return std::string();
    };
  }

  void list(std::string_view name, Setting<std::vector<std::string>>& to, const TextRule& rule, std::size_t least,
            std::string takes, std::string about, std::string_view rival = {}) {
    Field& field = add(name, FieldKind::list, std::move(takes), std::move(about), to, rival);
    field.assign = [&to, rule, least](std::span<const std::string> items) -> Problem {
      constexpr std::size_t items_max = 1'000;
      if (items.size() < least) return fmt::format("is empty; write at least {}", least);
      if (items.size() > items_max) return fmt::format("has more than {} items; write fewer", items_max);
      for (const auto& item : items) {
        if (auto problem = check_text(item, rule)) return problem;
        if (std::ranges::count(items, item) > 1) return fmt::format("{} stands twice; write it once", in_quotes(item));
      }
      to.value.assign(items.begin(), items.end());
      return std::nullopt;
    };
    field.show = [&to] { return fmt::format("{}", fmt::join(to.value, ", ")); };
  }

  /// Two fields: the secret itself, and the file that holds it.
  void secret(std::string_view name, SecretSetting& to, std::string about) {
    const std::string file = std::string(name) + "_file";
    Field field{.path = prefix_ + std::string(name),
                .kind = FieldKind::secret,
                .takes = "a text",
                .about = about,
                .rival = prefix_ + file,
                .origin = &to.origin};
    field.assign = [&to](std::span<const std::string> items) -> Problem {
      constexpr std::size_t secret_bytes_max = 64U << 10U;
      if (items.size() != 1) return "is a list; write one value";
      if (items[0].empty()) return "is empty; write the secret, or leave the field out";
      if (items[0].size() > secret_bytes_max) return "is longer than 64KiB; write a shorter secret";
      if (items[0].find('\0') != std::string::npos) return "has a zero byte in it; write a text";
      to.bytes = std::make_shared<const SecretString>(items[0]);
      return std::nullopt;
    };
    field.reset = [&to] {
      to.bytes = nullptr;
      to.origin = {};
    };
    field.show = [&to] { return std::string(to.bytes == nullptr ? "" : "****"); };
    fields_.push_back(std::move(field));
    path(file, to.file, optional_file_name,
         "A file that holds it, read anew when it is used; beside it, " + std::string(name) + " may not stand.", name);
  }

 private:
  template <class T>
  Field& add(std::string_view name, FieldKind kind, std::string takes, std::string about, Setting<T>& to,
             std::string_view rival = {}) {
    Field field{.path = prefix_ + std::string(name),
                .kind = kind,
                .takes = std::move(takes),
                .about = std::move(about),
                .rival = rival.empty() ? "" : prefix_ + std::string(rival),
                .origin = &to.origin};
    field.reset = [&to, initial = to.value] {
      to.value = initial;
      to.origin = {};
    };
    return fields_.emplace_back(std::move(field));
  }

  std::string prefix_;
  std::vector<Field> fields_;
};

/// cluster.*, but for its name and prefix: settings_fields_cluster.cpp.
void describe_cluster(FieldList& list, ClusterSettings& cluster);
/// clone, rotation, removal, drift, history: settings_fields_provision.cpp.
void describe_provisioning(FieldList& list, Settings& settings);

}  // namespace opi::app
