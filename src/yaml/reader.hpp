#pragma once
/// @file
/// A typed decoder over the tree: reads fields, tracks which ones were asked for, and collects every error with its
/// place and field path ("deployments[1].cluster").
///
///     yaml::Problems problems;
///     yaml::MappingReader top{document.root, "", problems};
///     auto port = top.integer("port", 1, 65535).value_or(8080);
///     if (auto http = top.mapping("http")) { ...; }   // each MappingReader reports its unknown fields when it goes
///     top.finish();
///     if (!problems.empty()) return problems.take();
///
/// Readers are short-lived views: node and problems must outlive them. Not synchronised.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "yaml/node.hpp"
#include "yaml/problems.hpp"

namespace opi::yaml {

/// One value at one path. Every getter reports a wrong type as `path: expected integer, got string` and returns none.
class Reader {
 public:
  Reader(const Node& node, std::string path, Problems& problems);

  const Node& node() const noexcept { return *node_; }
  const std::string& path() const noexcept { return path_; }
  Place place() const { return node_->place(); }

  std::optional<std::string> string() const;
  std::optional<bool> boolean() const;
  std::optional<std::int64_t> integer(std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                                      std::int64_t most = std::numeric_limits<std::int64_t>::max()) const;
  std::optional<double> number(double least = -std::numeric_limits<double>::infinity(),
                               double most = std::numeric_limits<double>::infinity()) const;
  /// One of `allowed`; the message lists them and names the nearest.
  std::optional<std::string> one_of(std::span<const std::string_view> allowed) const;
  /// A string, or the text of any other scalar but null as it was written (`8080`, `1.5`, `true`).
  std::optional<std::string> text() const;
  /// The items of a list, each with its path.
  std::optional<std::vector<Reader>> list() const;
  /// A list of strings.
  std::optional<std::vector<std::string>> strings() const;

  /// Reports an error at this value: "path: what".
  void fail(std::string_view what) const;

 private:
  friend class MappingReader;
  void wrong_type(std::string_view expected) const;
  const Node* node_;
  std::string path_;
  Problems* problems_;
};

/// The fields of a mapping. A field that is absent or null is "not there"; `required` reports it. The destructor (or
/// finish(), once) reports every field that nobody asked for, with the nearest name that somebody did ask for.
class MappingReader {
 public:
  /// A node that is no mapping is reported as such; every field is then absent and nothing more is said.
  MappingReader(const Node& node, std::string path, Problems& problems);
  explicit MappingReader(const Reader& reader);
  MappingReader(MappingReader&& other) noexcept;
  MappingReader& operator=(MappingReader&&) = delete;
  MappingReader(const MappingReader&) = delete;
  MappingReader& operator=(const MappingReader&) = delete;
  ~MappingReader();

  const Node& node() const noexcept { return *node_; }
  const std::string& path() const noexcept { return path_; }
  /// Was it a mapping at all?
  bool valid() const noexcept { return node_->is_mapping(); }

  std::optional<Reader> optional(std::string_view key);
  /// Reports "path.key: is required" at the mapping's place when it is not there.
  std::optional<Reader> required(std::string_view key);
  /// Is the key written, null or not? Counts as asked for.
  bool has(std::string_view key);

  // Short forms of optional(key)->type().
  std::optional<std::string> string(std::string_view key);
  std::optional<bool> boolean(std::string_view key);
  std::optional<std::int64_t> integer(std::string_view key,
                                      std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                                      std::int64_t most = std::numeric_limits<std::int64_t>::max());
  std::optional<double> number(std::string_view key, double least = -std::numeric_limits<double>::infinity(),
                               double most = std::numeric_limits<double>::infinity());
  std::optional<std::string> one_of(std::string_view key, std::span<const std::string_view> allowed);
  std::optional<std::vector<std::string>> strings(std::string_view key);
  std::optional<std::vector<Reader>> list(std::string_view key);
  std::optional<MappingReader> mapping(std::string_view key);

  /// Every key with its value, in order, for maps with free keys (`databases:`); all count as asked for.
  std::vector<std::pair<std::string, Reader>> each();

  /// Reports an error at this mapping: "path: what".
  void fail(std::string_view what) const;
  /// Reports the unknown fields now; later calls and the destructor do nothing.
  void finish();
  /// Says nothing about unknown fields, ever.
  void allow_unknown() noexcept { finished_ = true; }

 private:
  std::optional<Reader> look_up(std::string_view key);
  const Node* node_;
  std::string path_;
  Problems* problems_;
  std::vector<std::string> asked_;  // sorted
  bool all_asked_ = false;
  bool finished_ = false;
};

}  // namespace opi::yaml
