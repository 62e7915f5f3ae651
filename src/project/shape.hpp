#pragma once
/// @file
/// What a project file may hold, as data: the one source of the parser's rules (check.hpp) and of the JSON Schema
/// (schema.hpp). The tables stand in project_shape.cpp, component_shape.cpp, deployment_shape.cpp and
/// service_shape.cpp.

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "project/format.hpp"

namespace opi::project {

/// The layouts that differ; a field names the ones that it belongs to.
using Layouts = unsigned;
inline constexpr Layouts layout_2025 = 1;  ///< no schema-version
inline constexpr Layouts version_1 =
    2;  ///< schema-version 1: the new frame, the services of components still as in 2025
inline constexpr Layouts version_2 = 4;  ///< schema-version 2 to 2.9
inline constexpr Layouts layout_2026 = version_1 | version_2;
inline constexpr Layouts every_layout = layout_2025 | layout_2026;

/// schema-version as a file may give it, as written there.
inline constexpr std::string_view schema_versions[] = {"1",   "2",   "2.1", "2.2", "2.3", "2.4",
                                                       "2.5", "2.6", "2.7", "2.8", "2.9"};

struct Shape;
using ShapePointer = std::shared_ptr<const Shape>;

enum class ShapeKind {
  string,   ///< a string of a format
  scalar,   ///< a string or a number whose text is of a format (quantities)
  word,     ///< one of some strings
  integer,  ///< in a range
  number,   ///< any
  boolean,
  list,      ///< of one shape
  record,    ///< named fields
  map,       ///< free keys of a format
  choice,    ///< one of several, told apart by scalar, list or mapping
  service,   ///< an entry of a list of services: a name, {name, config} or {<name>: {config}}
  anything,  ///< kept as it is
};

/// A named field of a record. The same name may stand in a record twice, for different layouts.
struct Field {
  std::string name;
  ShapePointer shape;
  std::string description = {};
  bool required = false;
  Layouts layouts = every_layout;
  std::string refusal = {};  ///< not empty: the field is known, and refused with these words
};

/// Immutable once built; shared by everybody.
struct Shape {
  ShapeKind kind = ShapeKind::anything;
  const Format* format = nullptr;       ///< string, scalar; of the keys of a map
  std::vector<std::string> words = {};  ///< word; the names of services
  std::int64_t least = std::numeric_limits<std::int64_t>::min();
  std::int64_t most = std::numeric_limits<std::int64_t>::max();  ///< integer: its range; list and map: their sizes
  std::vector<Field> fields = {};                                ///< record; of a service: one per service's config
  bool open = false;                                             ///< record: other fields are kept too
  ShapePointer element = {};                                     ///< list, map
  std::vector<ShapePointer> choices = {};
  bool not_negative = false;  ///< scalar: of its numbers; their text is not looked at
};

ShapePointer string_of(const Format& format);
ShapePointer scalar_of(const Format& format);
/// A scalar of formats::quantity, or a number that is not negative.
ShapePointer quantity();
ShapePointer word_of(std::vector<std::string> words);
ShapePointer integer_of(std::int64_t least, std::int64_t most);
ShapePointer boolean();
ShapePointer list_of(ShapePointer element);
ShapePointer map_of(const Format& key, ShapePointer element);
ShapePointer record_of(std::vector<Field> fields);
ShapePointer open_record_of(std::vector<Field> fields);
ShapePointer choice_of(std::vector<ShapePointer> choices);
ShapePointer anything();

inline Field required(std::string name, ShapePointer shape, std::string description, Layouts layouts = every_layout) {
  return {std::move(name), std::move(shape), std::move(description), true, layouts};
}
inline Field optional(std::string name, ShapePointer shape, std::string description, Layouts layouts = every_layout) {
  return {std::move(name), std::move(shape), std::move(description), false, layouts};
}
/// A field that somebody may well write and that has no place here.
Field refused(std::string name, std::string why);

/// The whole file, all layouts in one.
ShapePointer project_shape();

// The parts it is made of.
ShapePointer component_shape();
ShapePointer deployment_shape();
ShapePointer environment_variables_shape();
ShapePointer resources_shape();
/// An entry of the project's `services`, and of a component's.
ShapePointer project_service_shape();
ShapePointer component_service_shape();
/// The names of all services that are known.
const std::vector<std::string>& service_names();

}  // namespace opi::project
