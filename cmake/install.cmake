# `cmake --install` gives the binary, the libraries, their headers and a package for find_package(meshplan).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/meshplan)
set(meshplan_libraries meshplan_core meshplan_profiles meshplan_planner meshplan_backend)
target_include_directories(meshplan_core PUBLIC $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/meshplan>)
foreach(library ${meshplan_libraries})
  string(REPLACE "meshplan_" "" short_name ${library})
  set_target_properties(${library} PROPERTIES EXPORT_NAME ${short_name})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${short_name}
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/meshplan FILES_MATCHING PATTERN "*.h")
endforeach()

install(TARGETS ${meshplan_libraries} EXPORT meshplan_targets)
if(TARGET meshplan)
  install(TARGETS meshplan)
endif()
if(TARGET meshplan-gui)
  install(TARGETS meshplan-gui)
  install(FILES ${PROJECT_SOURCE_DIR}/gui/meshplan.desktop DESTINATION ${CMAKE_INSTALL_DATADIR}/applications)
  install(FILES ${PROJECT_SOURCE_DIR}/gui/meshplan.svg
    DESTINATION ${CMAKE_INSTALL_DATADIR}/icons/hicolor/scalable/apps)
endif()
if(TARGET meshplan_mpi)
  install(TARGETS meshplan_mpi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/profiles/shipped/
  DESTINATION ${CMAKE_INSTALL_DATADIR}/meshplan/profiles FILES_MATCHING PATTERN "*.db")
install(EXPORT meshplan_targets NAMESPACE meshplan:: DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/meshplan-config.cmake.in
  ${PROJECT_BINARY_DIR}/meshplan-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/meshplan-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/meshplan-config.cmake
  ${PROJECT_BINARY_DIR}/meshplan-config-version.cmake DESTINATION ${package_dir})
