// SOPS files in ini on any bytes; the demands are in sops_target.hpp.
#include "sops_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  opi::fuzz::check_sops({reinterpret_cast<const char*>(data), size}, opi::secrets::sops::Format::ini);
  return 0;
}
