# Run by `cmake --install`: the entry headers of opi::pg and what they include, from opi_source to opi_header_folder.
# tests/tidy checks docs/pool.md against the same list.
cmake_policy(VERSION 3.25)

set(opi_pg_entries
  aio/task_scope.hpp
  aio/with_deadline.hpp
  pg/connection.hpp
  pg/database_pool.hpp
  pg/database_pools.hpp
  pg/pipeline.hpp
  pg/quote.hpp
  pg/sqlstate.hpp
  pg/transaction.hpp)

set(queue ${opi_pg_entries})
set(taken "")
while(queue)
  list(POP_FRONT queue header)
  if(header IN_LIST taken)
    continue()
  endif()
  list(APPEND taken ${header})
  file(STRINGS "${opi_source}/${header}" lines REGEX "^#include \"")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^#include \"([^\"]+)\".*" "\\1" included "${line}")
    list(APPEND queue "${included}")
  endforeach()
endwhile()
foreach(header IN LISTS taken)
  get_filename_component(folder "${header}" DIRECTORY)
  file(INSTALL "${opi_source}/${header}" DESTINATION "${CMAKE_INSTALL_PREFIX}/${opi_header_folder}/${folder}")
endforeach()
