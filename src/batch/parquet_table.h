// Of the Parquet plug-in: cells in, a file out.
#pragma once

#include <memory>
#include <vector>

#include "batch/parquet.h"

namespace trireme {

std::unique_ptr<ParquetTable> open_arrow_table(const std::vector<RowColumn>& columns,
                                               ByteSink& sink);

}  // namespace trireme
