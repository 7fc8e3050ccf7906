# What `make install` puts where: header, both libraries, the shell, man pages, and the files by
# which pkg-config and find_package(omendb) find them.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS omendb
        EXPORT omendbTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES $<TARGET_FILE:omendb_static> DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${PROJECT_SOURCE_DIR}/include/omendb.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT omendbTargets
        NAMESPACE omendb::
        FILE omendbConfig.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/omendb)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/omendbConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/omendbConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/omendb)

# Relative to the file itself, so that the prefix may be chosen at installation.
file(RELATIVE_PATH up "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
set(OMENDB_PC_PREFIX "\${pcfiledir}/${up}")
configure_file(${PROJECT_SOURCE_DIR}/cmake/omendb.pc.in ${PROJECT_BINARY_DIR}/omendb.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/omendb.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

file(GLOB MAN_PAGES ${PROJECT_SOURCE_DIR}/docs/man/*.1)
if(MAN_PAGES)
  install(FILES ${MAN_PAGES} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()
