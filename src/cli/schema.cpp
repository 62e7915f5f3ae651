#include "cli/schema.hpp"

#include <ostream>

#include "project/schema.hpp"

namespace opi::cli {

int run_schema(std::ostream& out) {
  out << project::json_schema() << std::flush;
  return out.good() ? 0 : 1;
}

}  // namespace opi::cli
