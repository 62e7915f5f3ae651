#pragma once
/// @file
/// The formats of SOPS files: from text to documents and back, as the program's stores do it.

#include <string>
#include <string_view>
#include <utility>

#include "base/result.hpp"
#include "secrets/sops.hpp"
#include "secrets/sops_metadata.hpp"
#include "secrets/sops_tree.hpp"

namespace opi::secrets::sops {

/// Limits on what is read: hostile files come from repositories.
inline constexpr std::size_t file_bytes_max = std::size_t{64} << 20U;
inline constexpr std::size_t depth_max = 100;
inline constexpr std::size_t values_max = 1'000'000;

// One pair for each format. Reading errors: invalid, with line and column where the format has them and never the line
// itself. Writing errors: invalid (a value that the format cannot hold).

/// Any number of documents; comments, order, all scalar types. Aliases are copied out.
Result<Branches> read_yaml(std::string_view text);
std::string write_yaml(const Branches& branches, int indent);
/// One value of any kind.
std::string write_yaml_value(const Value& value, int indent);

/// One object; whole numbers of 64 bits stay whole, other numbers become binary floating point.
Result<Branches> read_json(std::string_view text);
Result<std::string> write_json(const Value& map, int indent);
Result<std::string> write_json_value(const Value& value, int indent);

/// KEY=value lines; "\n" in a value is a line break; "#" starts a comment.
Result<Branches> read_dotenv(std::string_view text);
Result<std::string> write_dotenv(const Value& map);

/// Sections of keys with strings; a file starts with the section DEFAULT.
Result<Branches> read_ini(std::string_view text);
Result<std::string> write_ini(const Value& map);

/// The text of a scalar where a format knows only strings.
std::string as_text(const Value& value);

// The pairs again, by format.
Result<Branches> read_plain(std::string_view text, Format format);
Result<std::string> write_plain(const Branches& branches, Format format, const Layout& layout);

struct EncryptedFile {
  Branches branches;
  Metadata metadata;
};
/// Takes the metadata out of the documents. Errors: invalid with code unreadable.
Result<EncryptedFile> read_encrypted(std::string_view text, Format format);
Result<std::string> write_encrypted(const EncryptedFile& file, Format format, const Layout& layout);
/// True when the first document has the key (or keys) that metadata take.
bool has_metadata(const Branches& branches, Format format);

}  // namespace opi::secrets::sops
