# libomendb.a as it is installed: one object file in which hidden names are local, so that nothing of
# ours can clash with a program's own names. Not made where instruments (sanitizers, coverage) put
# names of theirs into every object.
if(OMENDB_SANITIZE OR CMAKE_C_FLAGS MATCHES "--coverage")
  return()
endif()

set(OMENDB_ARCHIVE ${PROJECT_BINARY_DIR}/libomendb.a)
add_custom_command(OUTPUT ${OMENDB_ARCHIVE}
    COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -o omendb_one.o $<TARGET_OBJECTS:omendb_objects>
    COMMAND ${CMAKE_OBJCOPY} --localize-hidden omendb_one.o
    COMMAND ${CMAKE_COMMAND} -E rm -f ${OMENDB_ARCHIVE}
    COMMAND ${CMAKE_AR} rcsD ${OMENDB_ARCHIVE} omendb_one.o
    COMMAND ${CMAKE_COMMAND} -E rm -f omendb_one.o
    DEPENDS omendb_objects $<TARGET_OBJECTS:omendb_objects>
    WORKING_DIRECTORY ${PROJECT_BINARY_DIR}
    COMMENT "Linking one object with local inner names: libomendb.a"
    COMMAND_EXPAND_LISTS VERBATIM)
add_custom_target(omendb_archive ALL DEPENDS ${OMENDB_ARCHIVE})
