# The PostgreSQL client as a library for other programs:
#   cmake --install build/release --component opi_pg --prefix DIRECTORY
# then find_package(opi_pg) there, and link opi::pg. Headers are in include/opi: what an entry header includes, no more.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(opi_pg_config_folder "${CMAKE_INSTALL_LIBDIR}/cmake/opi_pg")

foreach(room base aio pg)
  set_target_properties(opi_${room} PROPERTIES EXPORT_NAME ${room})
  target_include_directories(opi_${room} INTERFACE
    "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/opi>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
endforeach()
set_target_properties(opi_boost PROPERTIES EXPORT_NAME boost)

install(TARGETS opi_base opi_aio opi_pg opi_boost EXPORT opi_pgTargets COMPONENT opi_pg
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(EXPORT opi_pgTargets NAMESPACE opi:: DESTINATION "${opi_pg_config_folder}" COMPONENT opi_pg)
configure_package_config_file("${CMAKE_SOURCE_DIR}/cmake/opi_pgConfig.cmake.in" "${CMAKE_BINARY_DIR}/opi_pgConfig.cmake"
  INSTALL_DESTINATION "${opi_pg_config_folder}")
write_basic_package_version_file("${CMAKE_BINARY_DIR}/opi_pgConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/opi_pgConfig.cmake" "${CMAKE_BINARY_DIR}/opi_pgConfigVersion.cmake"
        DESTINATION "${opi_pg_config_folder}" COMPONENT opi_pg)

# Which headers there are is looked up when they are installed.
install(CODE "set(opi_source \"${CMAKE_SOURCE_DIR}/src\")
set(opi_header_folder \"${CMAKE_INSTALL_INCLUDEDIR}/opi\")" COMPONENT opi_pg)
install(SCRIPT "${CMAKE_SOURCE_DIR}/cmake/install_headers.cmake" COMPONENT opi_pg)
