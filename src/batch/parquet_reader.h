// Of the Parquet plug-in: files in, rows of JSON out, some hundred at a time.
#pragma once

#include <memory>
#include <string>

#include "batch/parquet.h"

namespace trireme {

std::unique_ptr<ParquetRows> open_arrow_rows(const std::string& path);

}  // namespace trireme
