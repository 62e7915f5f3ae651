# Everything we link that is not ours. Boost is used as headers only: its compiled parts (Asio, Asio SSL, Beast, JSON,
# URL) are built once, in boost_asio.cpp and boost_sources.cpp, by the compiler that builds the rest. `run` unpacks the
# headers into build/boost when installing the package would remove another Boost.
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
pkg_check_modules(LIBPQ REQUIRED IMPORTED_TARGET libpq)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)

if(EXISTS "${CMAKE_SOURCE_DIR}/build/boost/usr/include/boost/version.hpp")
  set(OPI_BOOST_INCLUDE "${CMAKE_SOURCE_DIR}/build/boost/usr/include")
else()
  find_path(OPI_BOOST_INCLUDE boost/version.hpp REQUIRED)
endif()
file(STRINGS "${OPI_BOOST_INCLUDE}/boost/version.hpp" boost_version REGEX "define BOOST_VERSION [0-9]+")
string(REGEX REPLACE ".* ([0-9]+)$" "\\1" boost_version "${boost_version}")
if(boost_version LESS 108100)
  message(FATAL_ERROR "Boost 1.81 or newer is needed, ${OPI_BOOST_INCLUDE} has ${boost_version}; ./run installs it")
endif()

add_library(opi_boost STATIC "${CMAKE_SOURCE_DIR}/cmake/boost_asio.cpp" "${CMAKE_SOURCE_DIR}/cmake/boost_sources.cpp")
target_include_directories(opi_boost SYSTEM PUBLIC "$<BUILD_INTERFACE:${OPI_BOOST_INCLUDE}>")
target_compile_definitions(opi_boost PUBLIC
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
  BOOST_ASIO_DISABLE_BOOST_ARRAY BOOST_ALL_NO_LIB)
target_compile_options(opi_boost PRIVATE -w)
target_link_libraries(opi_boost PUBLIC Threads::Threads OpenSSL::SSL OpenSSL::Crypto)

# The metrics library's core (its civetweb and curl parts are not linked), logging and command-line parsing.
find_package(prometheus-cpp CONFIG REQUIRED COMPONENTS core)
find_package(spdlog CONFIG REQUIRED)
add_library(opi_spdlog INTERFACE)
target_link_libraries(opi_spdlog INTERFACE spdlog::spdlog)
find_package(CLI11 CONFIG REQUIRED)
add_library(opi_cli11 INTERFACE)
target_link_libraries(opi_cli11 INTERFACE CLI11::CLI11)

# Regular expressions in linear time, of the dialect that SOPS rules are written in. Not through pkg-config, whose
# -pthread would not fit the precompiled header.
find_library(OPI_RE2 re2 REQUIRED)
add_library(opi_re2 INTERFACE)
target_link_libraries(opi_re2 INTERFACE "${OPI_RE2}")
# SASLprep for passwords that are not ASCII.
find_library(OPI_IDN idn REQUIRED)
add_library(opi_idn INTERFACE)
target_link_libraries(opi_idn INTERFACE "${OPI_IDN}")
