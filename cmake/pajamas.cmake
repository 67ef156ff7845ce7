# Flags that every target of the project shares, and the three shapes a target can have.

add_library(pajamas_flags INTERFACE)
# cmake/ for <precompiled/NAME.h>: by an absolute path it would differ from checkout to checkout.
target_include_directories(pajamas_flags INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/cmake)
# Encoded bytes are the product: no contraction into fused operations, no fast-math, anywhere.
target_compile_options(pajamas_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Werror -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports overlaps inside std::string that cannot happen (GCC bug 105651).
  target_compile_options(pajamas_flags INTERFACE -Wno-restrict)
endif()
if(PAJAMAS_PRECOMPILED AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # A header made again is the same header: it holds no times.
  target_compile_options(pajamas_flags INTERFACE "SHELL:-Xclang -fno-pch-timestamp")
endif()
if(PAJAMAS_SANITIZE)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # The checks that sanitizers insert make g++ see paths that do not exist.
    target_compile_options(pajamas_flags INTERFACE -Wno-maybe-uninitialized)
  endif()
  target_compile_options(pajamas_flags INTERFACE
    -fsanitize=${PAJAMAS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  target_link_options(pajamas_flags INTERFACE -fsanitize=${PAJAMAS_SANITIZE})
endif()

# pajamas_precompiled(NAME DEPENDS ...): parses cmake/precompiled/NAME.h once for every target that
# says PRECOMPILED NAME.
function(pajamas_precompiled name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  if(NOT PAJAMAS_PRECOMPILED)
    return()
  endif()
  set(source ${PROJECT_BINARY_DIR}/generated/precompiled_${name}.cpp)
  file(CONFIGURE OUTPUT ${source} CONTENT "// Its header alone matters.\n" @ONLY)
  add_library(pajamas_precompiled_${name} OBJECT ${source})
  target_link_libraries(pajamas_precompiled_${name} PRIVATE pajamas_flags ${ARG_DEPENDS})
  target_precompile_headers(pajamas_precompiled_${name} PRIVATE <precompiled/${name}.h>)
endfunction()

function(pajamas_use_precompiled target name)
  if(PAJAMAS_PRECOMPILED AND name)
    target_precompile_headers(${target} REUSE_FROM pajamas_precompiled_${name})
  endif()
endfunction()

# pajamas_pieces(ROOT FOLDER OUT SOURCE...): writes sources that include some of these (of ROOT/FOLDER)
# each, and puts their names into OUT: more of them cost memory (about a gigabyte with these), and cores
# that wait at the end.
# CMake's own UNITY_BUILD would name the sources by absolute paths (cmake/cached.sh).
set(PAJAMAS_PIECE 16)
function(pajamas_pieces root folder out)
  set(pieces "")
  # g++ takes what is in a source for a header's, which must not have members of unnamed types; clang
  # finds names of other sources shadowed. Debug builds see each source by itself.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    set(begin "#pragma GCC diagnostic ignored \"-Wsubobject-linkage\"\n")
  else()
    set(begin "#pragma clang diagnostic ignored \"-Wshadow\"\n")
  endif()
  set(text "${begin}")
  set(taken 0)
  foreach(source IN LISTS ARGN)
    file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR}/${root} ${source})
    string(APPEND text "#include \"${name}\"\n")
    math(EXPR taken "${taken} + 1")
    math(EXPR beyond "${taken} % ${PAJAMAS_PIECE}")
    list(LENGTH ARGN all)
    if(beyond EQUAL 0 OR taken EQUAL all)
      list(LENGTH pieces number)
      set(piece ${PROJECT_BINARY_DIR}/generated/pieces/${root}/${folder}_${number}.cpp)
      file(CONFIGURE OUTPUT ${piece} CONTENT "${text}" @ONLY)
      list(APPEND pieces ${piece})
      set(text "${begin}")
    endif()
  endforeach()
  set(${out} ${pieces} PARENT_SCOPE)
endfunction()

# pajamas_library(FOLDER DEPENDS ... [EXCEPT NAME] [PRECOMPILED NAME] [HOT] [COLD] [APART]): the static
# library of src/FOLDER, made of every .cpp in it but NAME and what plug-ins are made of (plugin/). HOT:
# optimized in debug builds too. COLD: little even in release builds, for what waits for people and
# files, and takes the compiler longest. APART: every source is compiled by itself, with
# PAJAMAS_PIECES too.
function(pajamas_library folder)
  cmake_parse_arguments(ARG "HOT;COLD;APART" "EXCEPT;PRECOMPILED" "DEPENDS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${folder}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/plugin/")
  if(ARG_EXCEPT)
    list(REMOVE_ITEM sources ${PROJECT_SOURCE_DIR}/src/${folder}/${ARG_EXCEPT})
  endif()
  if(PAJAMAS_PIECES AND NOT ARG_APART)
    pajamas_pieces(src ${folder} sources ${sources})
  endif()
  if(NOT sources)  # headers only
    add_library(pajamas_${folder} INTERFACE)
    target_link_libraries(pajamas_${folder} INTERFACE pajamas_flags ${ARG_DEPENDS})
    return()
  endif()
  add_library(pajamas_${folder} STATIC ${sources})
  target_link_libraries(pajamas_${folder} PUBLIC pajamas_flags ${ARG_DEPENDS})
  if(ARG_COLD AND CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(pajamas_${folder} PRIVATE -O1)
  elseif(NOT ARG_HOT AND CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(pajamas_${folder} PRIVATE -O2)
  endif()
  if(ARG_HOT AND CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_options(pajamas_${folder} PRIVATE -O2)  # unoptimized they take minutes to test
  elseif(NOT (ARG_COLD AND CMAKE_BUILD_TYPE STREQUAL "Release"))  # flags have to be the same
    pajamas_use_precompiled(pajamas_${folder} "${ARG_PRECOMPILED}")
  endif()
endfunction()

# pajamas_embed(FOLDER HEADER NAME=FILE ...): files as tables of bytes, behind the functions
# `std::string_view NAME() noexcept` that src/FOLDER/HEADER.h declares.
function(pajamas_embed folder header)
  set(functions "")
  foreach(entry IN LISTS ARGN)
    string(REGEX MATCH "^([^=]*)=(.*)$" entry "${entry}")
    set(name ${CMAKE_MATCH_1})
    cmake_path(ABSOLUTE_PATH CMAKE_MATCH_2 BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE file)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
    string(APPEND functions "std::string_view ${name}() noexcept {
  static constexpr unsigned char kBytes[] = {${bytes}};
  return {reinterpret_cast<const char*>(kBytes), sizeof(kBytes)};
}
")
  endforeach()
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/${header}.cpp CONTENT
"#include \"${folder}/${header}.h\"
namespace pajamas::${folder} {
@functions@}  // namespace pajamas::${folder}
" @ONLY)
  target_sources(pajamas_${folder} PRIVATE ${PROJECT_BINARY_DIR}/generated/${header}.cpp)
endfunction()

# pajamas_test(FOLDER [OF FOLDER] [SHARDS NUMBER] DEPENDS ...): one test program of every tests/FOLDER/*_test.cpp,
# which links only the library it tests (of the same name, or OF another), so that a dependency
# nobody declared does not link. For
# ctest it is FOLDER/1, FOLDER/2, ...: as many processes that share the cases between them, each
# listing its own in test-results/FOLDER-NUMBER.xml. One process a case would start programs of some
# ten megabytes many hundred times.
function(pajamas_test folder)
  cmake_parse_arguments(ARG "" "OF;SHARDS" "DEPENDS" ${ARGN})
  if(NOT ARG_SHARDS)
    set(ARG_SHARDS 2)
  endif()
  if(NOT ARG_OF)
    set(ARG_OF ${folder})
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${folder}/*_test.cpp)
  if(NOT sources)
    return()
  endif()
  if(PAJAMAS_PIECES)
    pajamas_pieces(tests ${folder} sources ${sources})
  endif()
  add_executable(test_${folder} ${sources})
  target_include_directories(test_${folder} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(test_${folder} PRIVATE pajamas_${ARG_OF} ${ARG_DEPENDS} test_paths
    GTest::gtest GTest::gtest_main)
  # Half of a release build would be their optimization; what they test is optimized.
  if(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(test_${folder} PRIVATE -O1)
  else()
    pajamas_use_precompiled(test_${folder} tests)
  endif()
  math(EXPR last "${ARG_SHARDS} - 1")
  foreach(shard RANGE ${last})
    math(EXPR number "${shard} + 1")
    add_test(NAME ${folder}/${number} COMMAND test_${folder} --gtest_brief=1
      --gtest_output=xml:${PROJECT_BINARY_DIR}/test-results/${folder}-${number}.xml)
    set_tests_properties(${folder}/${number} PROPERTIES TIMEOUT 3600
      ENVIRONMENT "GTEST_TOTAL_SHARDS=${ARG_SHARDS};GTEST_SHARD_INDEX=${shard}")
  endforeach()
endfunction()
