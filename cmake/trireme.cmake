# What every target of the project shares: warnings, floating point rules, and the
# three ways to declare a target.

add_library(trireme_flags INTERFACE)
set(flags
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  -Wno-missing-field-initializers  # designated initialisers leave defaults on purpose
  # The output bytes are part of the contract: the compiler may not contract a*b+c into a
  # fused multiply-add, nor reorder anything. Kernels that want an FMA spell it.
  -ffp-contract=off -fno-fast-math)
if(TRIREME_WERROR)
  list(APPEND flags -Werror)
endif()
target_compile_options(trireme_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${flags}>")
target_include_directories(trireme_flags INTERFACE
  ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
target_link_libraries(trireme_flags INTERFACE Threads::Threads)
if(TRIREME_SANITIZE)
  target_compile_options(trireme_flags INTERFACE
    -fsanitize=${TRIREME_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(trireme_flags INTERFACE -fsanitize=${TRIREME_SANITIZE})
  # An index beyond a vector that stays within its capacity is seen by nothing else.
  target_compile_definitions(trireme_flags INTERFACE _GLIBCXX_ASSERTIONS)
endif()

# Limits of time in tests are for a plain build: a sanitizer's takes several times as long.
set(TRIREME_TEST_PATIENCE 1)
if(TRIREME_SANITIZE)
  set(TRIREME_TEST_PATIENCE 5)
endif()

if(TRIREME_FUZZ)
  # The libraries too, or the fuzzers would be blind to what they reach.
  target_compile_options(trireme_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# trireme_library(core SOURCES a.cc b.cc LINKS other folders or system libraries)
# One static library per folder of src/, so that the link lines are the dependency diagram.
function(trireme_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(trireme_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(trireme_${name} PUBLIC trireme_flags ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS})
endfunction()

# trireme_test(name SOURCES a_test.cc LINKS trireme_core ...): a GoogleTest program whose cases
# ctest lists one by one. The tests find their data through TRIREME_SOURCE_DIR.
function(trireme_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINKS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  math(EXPR ARG_TIMEOUT "${ARG_TIMEOUT} * ${TRIREME_TEST_PATIENCE}")
  if(NOT ARG_LABELS)  # the kind of test is the folder under tests/: unit, device, dist, ...
    file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR}/tests ${CMAKE_CURRENT_SOURCE_DIR})
    string(REGEX REPLACE "/.*" "" ARG_LABELS ${folder})
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} trireme_flags GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE TRIREME_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
    TRIREME_BINARY_DIR="${PROJECT_BINARY_DIR}")
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60
    PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
endfunction()

# trireme_fuzzer(name SOURCES x_fuzz.cc LINKS ...): a libFuzzer target.
function(trireme_fuzzer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} trireme_flags)
  target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
endfunction()
