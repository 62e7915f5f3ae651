#include "project/shape.hpp"

#include <utility>

namespace opi::project {
namespace {

/// No list of a project file is longer; the limit on nodes bounds the whole.
constexpr std::int64_t list_items_max = 1'000;

ShapePointer make(Shape shape) {
  return std::make_shared<const Shape>(std::move(shape));
}

}  // namespace

ShapePointer string_of(const Format& format) {
  return make({.kind = ShapeKind::string, .format = &format});
}
ShapePointer scalar_of(const Format& format) {
  return make({.kind = ShapeKind::scalar, .format = &format});
}
ShapePointer quantity() {
  return make({.kind = ShapeKind::scalar, .format = &formats::quantity, .not_negative = true});
}
ShapePointer word_of(std::vector<std::string> words) {
  return make({.kind = ShapeKind::word, .words = std::move(words)});
}
ShapePointer integer_of(std::int64_t least, std::int64_t most) {
  return make({.kind = ShapeKind::integer, .least = least, .most = most});
}
ShapePointer boolean() {
  return make({.kind = ShapeKind::boolean});
}
ShapePointer list_of(ShapePointer element) {
  return make({.kind = ShapeKind::list, .least = 0, .most = list_items_max, .element = std::move(element)});
}
ShapePointer map_of(const Format& key, ShapePointer element) {
  return make(
      {.kind = ShapeKind::map, .format = &key, .least = 0, .most = list_items_max, .element = std::move(element)});
}
ShapePointer record_of(std::vector<Field> fields) {
  return make({.kind = ShapeKind::record, .fields = std::move(fields)});
}
ShapePointer open_record_of(std::vector<Field> fields) {
  return make({.kind = ShapeKind::record, .fields = std::move(fields), .open = true});
}
ShapePointer choice_of(std::vector<ShapePointer> choices) {
  return make({.kind = ShapeKind::choice, .choices = std::move(choices)});
}
ShapePointer anything() {
  return make({});
}

Field refused(std::string name, std::string why) {
  return {.name = std::move(name), .shape = anything(), .refusal = std::move(why)};
}

}  // namespace opi::project
