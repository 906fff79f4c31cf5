# The CUDA backend: a plug-in, built where nvcc is. It needs no GPU to build, and no CUDA but the
# driver to run: the runtime is linked in.
set(TRIREME_CUDA AUTO CACHE STRING "Build the CUDA backend: AUTO (where nvcc is found), ON or OFF")
include(${CMAKE_CURRENT_LIST_DIR}/sources.cmake)
if(TRIREME_CUDA STREQUAL "OFF" OR TRIREME_SANITIZE OR TRIREME_FUZZ)
  return()
endif()
include(CheckLanguage)
find_program(TRIREME_NVCC nvcc PATHS /usr/local/cuda/bin)
if(TRIREME_NVCC AND NOT CMAKE_CUDA_COMPILER)
  set(CMAKE_CUDA_COMPILER ${TRIREME_NVCC})
endif()
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  if(TRIREME_CUDA STREQUAL "ON")
    message(FATAL_ERROR "TRIREME_CUDA=ON, but nvcc is not there: install the CUDA toolkit (12 or 13)")
  endif()
  message(STATUS "nvcc not found: the CUDA backend is not built")
  return()
endif()

# Machine code for Turing, Ampere (with Ada) and Hopper, and PTX for what comes later.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 90)
endif()
enable_language(CUDA)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 has not heard of nvcc 13
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
find_package(CUDAToolkit REQUIRED)
list(TRANSFORM TRIREME_CUDA_KERNELS PREPEND ${CMAKE_CURRENT_LIST_DIR}/ OUTPUT_VARIABLE kernels)
list(TRANSFORM TRIREME_CUDA_BACKEND PREPEND ${CMAKE_CURRENT_LIST_DIR}/ OUTPUT_VARIABLE backend)
# A library of their own, which tests/gpu links too.
add_library(trireme_cuda_kernels STATIC ${kernels})
set_target_properties(trireme_cuda_kernels PROPERTIES
  CUDA_STANDARD 20 CUDA_RUNTIME_LIBRARY Static CXX_VISIBILITY_PRESET hidden)
# Nothing is contracted: kernels say fmaf where they mean it.
target_compile_options(trireme_cuda_kernels PRIVATE
  "$<$<COMPILE_LANGUAGE:CUDA>:-fmad=false;--threads=2>")
target_include_directories(trireme_cuda_kernels SYSTEM PUBLIC ${CUDAToolkit_INCLUDE_DIRS})
target_link_libraries(trireme_cuda_kernels PUBLIC trireme_kernels CUDA::cudart_static)

add_library(trireme_cuda MODULE ${backend})
set_target_properties(trireme_cuda PROPERTIES
  CXX_VISIBILITY_PRESET hidden LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
target_link_libraries(trireme_cuda PRIVATE trireme_cuda_kernels)
