#pragma once
/// @file
/// Paths as file:// URLs: git decodes %XX in every URL, so that a path with spaces or a percent sign has to be encoded.

#include <string>
#include <string_view>

namespace opi::git {

/// "file://" and `path` (absolute), every byte that is not plain in a URL as %XX.
std::string file_url(std::string_view path);

/// The path of a file:// URL, as git will open it; "" for another URL.
std::string path_of_file_url(std::string_view url);

}  // namespace opi::git
