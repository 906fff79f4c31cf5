# What `cmake --install` puts in place: the program, the plug-ins, and the public library with its headers, a
# CMake package (find_package(trireme), target trireme::trireme) and a pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# One shared library, so that a program needs none of the libraries below. Only the public API's symbols are seen.
add_library(trireme_shared SHARED $<TARGET_OBJECTS:trireme_api>)
add_library(trireme::trireme ALIAS trireme_shared)
target_link_libraries(trireme_shared PRIVATE trireme_tasks trireme_flags)
target_link_options(trireme_shared PRIVATE -Wl,--exclude-libs,ALL)
target_include_directories(trireme_shared INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(trireme_shared INTERFACE cxx_std_20)
set_target_properties(trireme_shared PROPERTIES
  OUTPUT_NAME trireme EXPORT_NAME trireme VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
if(TARGET trireme_mpi)
  add_dependencies(trireme_shared trireme_mpi)  # loaded at run time, where MPI is there
  install(TARGETS trireme_mpi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/trireme)
endif()
if(TARGET trireme_cuda)
  install(TARGETS trireme_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/trireme)
endif()
if(TARGET trireme_parquet)
  install(TARGETS trireme_parquet LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/trireme)
endif()

install(TARGETS trireme)
install(TARGETS trireme_shared EXPORT trireme)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/trireme TYPE INCLUDE)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/trireme)
install(EXPORT trireme NAMESPACE trireme:: FILE triremeTargets.cmake DESTINATION ${package_dir})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/triremeConfig.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/triremeConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/triremeConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/triremeConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/triremeConfigVersion.cmake DESTINATION ${package_dir})

configure_file(${PROJECT_SOURCE_DIR}/cmake/trireme.pc.in ${CMAKE_CURRENT_BINARY_DIR}/trireme.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/trireme.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
