// The environment variable of a setting.
#include "app/settings_fields.hpp"

namespace opi::app {

std::string variable_of(std::string_view path) {
  std::string name = "OPI_";
  for (const char c : path) {
    if (c == '.') {
      name += "__";
    } else if (c == '-') {
      name += '_';
    } else {
      name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
  }
  return name;
}

std::string Field::variable() const {
  return variable_of(path);
}

}  // namespace opi::app
