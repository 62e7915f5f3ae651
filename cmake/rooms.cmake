# A room is one static library, src/<room>, with every .cpp that stands in it; rooms name what they may include.

# One precompiled header for all of src and tests: the standard library and Asio's coroutines.
add_library(opi_pch OBJECT "${CMAKE_SOURCE_DIR}/cmake/precompiled.cpp")
target_link_libraries(opi_pch PUBLIC opi_options opi_boost fmt::fmt)
target_precompile_headers(opi_pch PRIVATE "${CMAKE_SOURCE_DIR}/cmake/precompiled.hpp")

# opi_room(NAME rooms… [LIBRARIES targets…])
function(opi_room name)
  cmake_parse_arguments(arg "" "" "LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/src/${name}/*.cpp")
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  add_library(opi_${name} STATIC ${sources})
  target_include_directories(opi_${name} PUBLIC "$<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/src>")
  target_precompile_headers(opi_${name} REUSE_FROM opi_pch)
  opi_together(opi_${name})
  if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT OPI_SANITIZE)  # two neighbours, which takes a third off its time
    set_target_properties(opi_${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 2)
  endif()
  target_link_libraries(opi_${name} PUBLIC $<BUILD_INTERFACE:opi_options> opi_boost fmt::fmt ${arg_LIBRARIES})
  foreach(room IN LISTS arg_UNPARSED_ARGUMENTS)
    if(TARGET opi_${room})
      target_link_libraries(opi_${name} PUBLIC opi_${room})
    endif()
  endforeach()
endfunction()

# opi_test(NAME LABEL files… [ROOMS rooms…] [TIMEOUT seconds] [COST n]): one program, each TEST in it one CTest test;
# those of the highest cost start first.
function(opi_test name label)
  cmake_parse_arguments(arg "" "TIMEOUT;COST" "ROOMS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 240)
  endif()
  if(NOT arg_COST)
    set(arg_COST 1)
  endif()
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}/tests")
  target_precompile_headers(${name} REUSE_FROM opi_test_pch)
  target_link_libraries(${name} PRIVATE opi_options GTest::gmock opi_test_main)
  foreach(room IN LISTS arg_ROOMS)
    target_link_libraries(${name} PRIVATE opi_${room})
  endforeach()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES LABELS ${label} TIMEOUT ${arg_TIMEOUT}
                       COST ${arg_COST})
endfunction()
