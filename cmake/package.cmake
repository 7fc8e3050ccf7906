# Debian packages of what is installed: `make deb`, or cpack -G DEB in a build folder.
#
#     libomendb0       libomendb.so.0
#     libomendb-dev    header, libomendb.a, files for pkg-config and CMake; needs libomendb0
#     omendb           the shell, its manual page and completion
foreach(pair library:libomendb0 development:libomendb-dev shell:omendb)
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 component)
  list(GET pair 1 package)
  # Of packages only, not of `make install`.
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/${package}
          RENAME copyright COMPONENT ${component} EXCLUDE_FROM_ALL)
  string(TOUPPER ${component} component)
  set(CPACK_DEBIAN_${component}_PACKAGE_NAME ${package})
  set(CPACK_DEBIAN_${component}_PACKAGE_SECTION libs)
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME omendb)
set(CPACK_PACKAGE_VENDOR OmenDB)
set(CPACK_PACKAGE_CONTACT "The OmenDB maintainers")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL library development shell)
set(CPACK_COMPONENT_DEVELOPMENT_DEPENDS library)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "Embedded database for documents with vectors: library")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Embedded database for documents with vectors: development")
set(CPACK_COMPONENT_SHELL_DESCRIPTION "Embedded database for documents with vectors: command")
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS libxxhash-dev)
set(CPACK_DEBIAN_SHELL_PACKAGE_SECTION database)
set(CPACK_STRIP_FILES ON)
include(CPack)
