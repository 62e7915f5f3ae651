#pragma once
/// @file
/// Text to tree: libyaml's events, our own nodes, and limits on everything that hostile input could make grow.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/result.hpp"
#include "yaml/node.hpp"

namespace opi::yaml {

struct Limits {
  std::size_t bytes_max = 1U << 20U;  ///< of the text; the scalars that aliases copy may take as much again
  std::size_t depth_max = 40;         ///< nested collections, aliases followed
  std::size_t nodes_max = 100'000;    ///< keys and values, aliases expanded
  std::size_t aliases_max = 100;      ///< `*name` in the text
  std::size_t documents_max = 1'000;
};

/// Parses the one document of `text`; nothing or only comments is an empty document. `file` names it in places.
/// Errors (kind `invalid`, always with a place): not UTF-8 or a control character, not YAML, a limit passed, a key
/// twice in a mapping, a key that is no string, an alias without anchor or inside its own anchor, more than one
/// document. Pure; safe from any thread.
Result<Document> parse(std::string_view text, std::string file, const Limits& limits = {});

/// The same for a stream of any number of documents; size() says how many, none for an empty text.
Result<std::vector<Document>> parse_all(std::string_view text, std::string file, const Limits& limits = {});

/// Like parse_all, but goes on after what leaves a tree behind: duplicate keys (the first one stays) and keys that are
/// no strings (left out) are appended to `problems` instead, in the order of their places.
Result<std::vector<Document>> parse_all(std::string_view text, std::string file, const Limits& limits,
                                        std::vector<Error>& problems);

}  // namespace opi::yaml
