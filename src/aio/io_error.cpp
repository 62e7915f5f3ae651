#include "aio/io_error.hpp"

#include <fmt/format.h>
#include <string.h>

#include <boost/asio/error.hpp>

namespace opi::aio {

namespace {

namespace error = boost::asio::error;

ErrorKind kind_of(const boost::system::error_code& code) {
  if (code == error::operation_aborted) return ErrorKind::cancelled;
  if (code == error::connection_refused || code == error::connection_reset || code == error::connection_aborted ||
      code == error::broken_pipe || code == error::eof || code == error::host_unreachable ||
      code == error::network_unreachable || code == error::network_down || code == error::not_connected ||
      code == error::host_not_found_try_again || code == error::no_recovery)
    return ErrorKind::unavailable;
  if (code == error::timed_out) return ErrorKind::timed_out;
  if (code == error::host_not_found || code == error::no_data || code == error::service_not_found ||
      code == boost::system::errc::no_such_file_or_directory)
    return ErrorKind::not_found;
  if (code == error::access_denied || code == boost::system::errc::operation_not_permitted) return ErrorKind::denied;
  if (code == error::address_in_use) return ErrorKind::conflict;
  if (code == error::bad_descriptor) return ErrorKind::closed;
  if (code == error::no_descriptors || code == error::no_memory || code == error::no_buffer_space ||
      code == boost::system::errc::too_many_files_open_in_system)
    return ErrorKind::exhausted;
  return ErrorKind::internal;
}

std::string name_of(const boost::system::error_code& code) {
  if (code.category() == boost::system::system_category() || code.category() == boost::system::generic_category())
    if (const char* name = ::strerrorname_np(code.value())) return name;
  return fmt::format("{}:{}", code.category().name(), code.value());
}

}  // namespace

Error io_error(std::string what, const boost::system::error_code& code) {
  Error error(kind_of(code), std::move(what));
  error.code = name_of(code);
  error.causes.push_back(code.message());
  return error;
}

}  // namespace opi::aio
