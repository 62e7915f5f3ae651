# Sources that are read as one by the compiler (a "unity build"), for what is built to be run once by ./test.

# opi_together(TARGET): where sanitized, neighbours whose private names differ are compiled as one, which halves the
# time of such a build.
function(opi_together target)
  if(OPI_SANITIZE)
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    get_target_property(sources ${target} SOURCES)
    list(TRANSFORM sources PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/" REGEX "^[^/]")
    execute_process(COMMAND "${Python3_EXECUTABLE}" -SB "${CMAKE_SOURCE_DIR}/scripts/source_groups.py" ${sources}
                    OUTPUT_VARIABLE lines OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    string(REPLACE "\n" ";" lines "${lines}")
    foreach(line IN LISTS lines)
      string(REGEX MATCH "^([0-9]+) (.+)$" line "${line}")
      set_source_files_properties("${CMAKE_MATCH_2}" PROPERTIES UNITY_GROUP "${CMAKE_MATCH_1}")
    endforeach()
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  endif()
endfunction()
