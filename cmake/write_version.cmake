cmake_policy(VERSION 3.25)
execute_process(COMMAND git -c safe.directory=* -C ${SOURCE} rev-parse --short=7 HEAD
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(commit "unknown")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT
"#pragma once
#define OPI_VERSION \"@VERSION@\"
#define OPI_COMMIT \"@commit@\"
")
