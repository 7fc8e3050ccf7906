# What `make install` puts where: header, both libraries (the shell installs itself), and the files by
# which pkg-config and find_package(omendb) find them.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Components are the Debian packages of cmake/package.cmake.
install(TARGETS omendb
        EXPORT omendbTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
                COMPONENT library NAMELINK_COMPONENT development
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET omendb_archive)
  install(FILES ${OMENDB_ARCHIVE} DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
endif()
install(FILES ${PROJECT_SOURCE_DIR}/include/omendb.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        COMPONENT development)
install(EXPORT omendbTargets
        NAMESPACE omendb::
        FILE omendbTargets.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/omendb
        COMPONENT development)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/omendbConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/omendbConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/omendb
                              PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR
                              NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/omendbConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/omendbConfig.cmake
              ${PROJECT_BINARY_DIR}/omendbConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/omendb
        COMPONENT development)

# Relative to the file itself, so that the prefix may be chosen at installation.
file(RELATIVE_PATH up "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
set(OMENDB_PC_PREFIX "\${pcfiledir}/${up}")
configure_file(${PROJECT_SOURCE_DIR}/cmake/omendb.pc.in ${PROJECT_BINARY_DIR}/omendb.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/omendb.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT development)
