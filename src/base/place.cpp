#include "base/place.hpp"

namespace opi {

std::string Place::to_string() const {
  std::string text = file;
  if (file.empty() || line == 0) return text;
  text += ':';
  text += std::to_string(line);
  if (column == 0) return text;
  text += ':';
  text += std::to_string(column);
  return text;
}

}  // namespace opi
