#include "app/version.hpp"

#include "opi_version.hpp"

namespace opi::app {

std::string_view version() noexcept {
  return OPI_VERSION;
}
std::string_view commit() noexcept {
  return OPI_COMMIT;
}

}  // namespace opi::app
