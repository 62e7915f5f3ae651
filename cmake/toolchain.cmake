# The compiler and how it is used. Debian's g++ 12.2 silently miscompiles ordinary coroutines (bodies not run, objects
# destroyed twice), so GCC below 13 is refused; tests/base/toolchain_test.cpp keeps any other compiler honest.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  message(FATAL_ERROR "GCC ${CMAKE_CXX_COMPILER_VERSION} miscompiles coroutines; use clang-19 (cmake --preset release)")
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1")
if(OPI_FUZZ)  # what counts there is how many inputs a second are tried
  set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")
endif()

# Our own targets take these by linking opi_options; what dependencies include stands behind SYSTEM.
add_library(opi_options INTERFACE)
target_compile_options(opi_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
                                             -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # GCC and clang disagree on which designated initialisers may be left out; ours default every member.
  target_compile_options(opi_options INTERFACE
    -Wno-missing-designated-field-initializers -Wno-missing-field-initializers)
endif()
if(OPI_SANITIZE)
  add_compile_options(-fsanitize=${OPI_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${OPI_SANITIZE})
endif()
if(OPI_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)  # the rooms tell the fuzzer which branches an input took
endif()

find_program(OPI_MOLD mold)
if(OPI_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
find_program(OPI_CCACHE ccache)
if(OPI_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${OPI_CCACHE})
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    add_compile_options("SHELL:-Xclang -fno-pch-timestamp")
  endif()
endif()
