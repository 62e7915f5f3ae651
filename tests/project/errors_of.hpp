#pragma once
/// @file
/// What the tests of the parser share: a file's errors as lines.

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "project/parser.hpp"

namespace opi::project::test {

/// The errors of a text as lines, none when it is valid; each is checked to be `invalid` and to have a place.
inline std::vector<std::string> errors_of(std::string_view text, const ParseContext& context = {},
                                          const ParseLimits& limits = {}) {
  const auto parsed = parse_project(text, "p.yaml", context, limits);
  std::vector<std::string> lines;
  if (!parsed) {
    for (const Error& error : parsed.error()) {
      EXPECT_EQ(error.kind, ErrorKind::invalid) << error.to_string();
      EXPECT_TRUE(error.place.known()) << error.to_string();
      lines.push_back(error.to_string());
    }
  }
  return lines;
}

}  // namespace opi::project::test
