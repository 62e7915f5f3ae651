#include "app/boot_banner.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <time.h>

#include "app/version.hpp"

namespace opi::app {

std::string iso_utc(WallTime time) {
  const std::time_t stamp = std::chrono::system_clock::to_time_t(time);
  std::tm fields{};
  gmtime_r(&stamp, &fields);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", fields.tm_year + 1900, fields.tm_mon + 1, fields.tm_mday,
                     fields.tm_hour, fields.tm_min, fields.tm_sec);
}

std::vector<std::string> boot_banner_lines(const BootBanner& banner) {
  const std::string rule(80, '=');
  return {
      rule,
      fmt::format("{} {} ({})", product_title, version(), commit()),
      rule,
      fmt::format("Boot time       {}", iso_utc(banner.boot_time)),
      fmt::format("Environment     {}", banner.environment),
      fmt::format("Git monitoring  {}", banner.git_monitoring ? "on" : "off"),
      fmt::format("Pools           {}", fmt::join(banner.pools, ", ")),
      rule,
  };
}

void print_boot_banner(std::ostream& out, const BootBanner& banner) {
  for (const auto& line : boot_banner_lines(banner)) out << line << '\n';
  out.flush();
}

}  // namespace opi::app
