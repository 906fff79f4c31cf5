# Apache Arrow C++ as the PyPI wheel pyarrow brings it, for the Parquet plug-in: the target trireme_arrow, where the
# wheel is found. TRIREME_PYARROW names its folder (the one that holds include/ and libarrow.so.*); else the one that
# `make parquet` installs counts, else python3's.
set(TRIREME_PYARROW "" CACHE PATH "The folder of the Python package pyarrow, for Parquet; empty: look for it")

set(pyarrow "${TRIREME_PYARROW}")
if(NOT pyarrow AND EXISTS ${PROJECT_SOURCE_DIR}/build/pyarrow/pyarrow/include)
  set(pyarrow ${PROJECT_SOURCE_DIR}/build/pyarrow/pyarrow)
elseif(NOT pyarrow)
  execute_process(COMMAND python3 -c "import importlib.util as u; print(u.find_spec('pyarrow').submodule_search_locations[0])"
    OUTPUT_VARIABLE pyarrow OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
file(GLOB pyarrow_libraries ${pyarrow}/libarrow.so.[0-9]* ${pyarrow}/libparquet.so.[0-9]*)
list(LENGTH pyarrow_libraries count)

if(TRIREME_SANITIZE)
  message(STATUS "Parquet: not with sanitizers, which Arrow is not built with")
elseif(pyarrow AND count EQUAL 2)
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_INCLUDES ${pyarrow}/include)
  set(CMAKE_REQUIRED_LIBRARIES ${pyarrow_libraries})
  # A wheel of another C++ library's ABI, or headers that are too new for the compiler.
  check_cxx_source_compiles("#include <arrow/api.h>
#include <parquet/arrow/reader.h>
int main() { return arrow::Status::OK().ToString().empty(); }" TRIREME_PYARROW_COMPILES)
  unset(CMAKE_REQUIRED_INCLUDES)
  unset(CMAKE_REQUIRED_LIBRARIES)
  if(TRIREME_PYARROW_COMPILES)
    add_library(trireme_arrow INTERFACE)
    target_include_directories(trireme_arrow SYSTEM INTERFACE ${pyarrow}/include)
    target_link_libraries(trireme_arrow INTERFACE ${pyarrow_libraries})
    message(STATUS "Parquet: by ${pyarrow}")
  else()
    message(STATUS "Parquet: ${pyarrow} does not compile here; `make parquet` brings one that does")
  endif()
else()
  message(STATUS "Parquet: no pyarrow; `make parquet` brings it")
endif()
