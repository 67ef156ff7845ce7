# Flags that every target of the project shares, and the three shapes a target can have.

add_library(pajamas_flags INTERFACE)
target_include_directories(pajamas_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
# Encoded bytes are the product: no contraction into fused operations, no fast-math, anywhere.
target_compile_options(pajamas_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Werror -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports overlaps inside std::string that cannot happen (GCC bug 105651).
  target_compile_options(pajamas_flags INTERFACE -Wno-restrict)
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

# pajamas_library(FOLDER DEPENDS ...): the static library of src/FOLDER, made of every .cpp in it.
function(pajamas_library folder)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${folder}/*.cpp)
  if(NOT sources)  # headers only
    add_library(pajamas_${folder} INTERFACE)
    target_link_libraries(pajamas_${folder} INTERFACE pajamas_flags ${ARG_DEPENDS})
    return()
  endif()
  add_library(pajamas_${folder} STATIC ${sources})
  target_link_libraries(pajamas_${folder} PUBLIC pajamas_flags ${ARG_DEPENDS})
endfunction()

# pajamas_test(FOLDER DEPENDS ...): one test program of every tests/FOLDER/*_test.cpp, which links
# only the library it tests, so that a dependency nobody declared does not link.
function(pajamas_test folder)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${folder}/*_test.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(test_${folder} ${sources})
  target_include_directories(test_${folder} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(test_${folder} PRIVATE
    PAJAMAS_SOURCE_DIR="${PROJECT_SOURCE_DIR}" PAJAMAS_BINARY_DIR="${PROJECT_BINARY_DIR}")
  target_link_libraries(test_${folder} PRIVATE pajamas_${folder} ${ARG_DEPENDS} GTest::gtest
    GTest::gtest_main)
  gtest_discover_tests(test_${folder} TEST_PREFIX "${folder}/" DISCOVERY_TIMEOUT 120)
endfunction()
