// libtrireme_parquet.so: Parquet by Apache Arrow. The one place, with its two parts, that sees
// Arrow.
#include "batch/parquet_reader.h"
#include "batch/parquet_table.h"

namespace trireme {

namespace {

class ArrowParquet : public ParquetPlugin {
 public:
  std::unique_ptr<ParquetRows> open(const std::string& path) const override {
    return open_arrow_rows(path);
  }
  std::unique_ptr<ParquetTable> write(const std::vector<RowColumn>& columns,
                                      ByteSink& sink) const override {
    return open_arrow_table(columns, sink);
  }
};

}  // namespace

}  // namespace trireme

extern "C" __attribute__((visibility("default"))) const trireme::ParquetPlugin* trireme_parquet(
    int interface) {
  static const trireme::ArrowParquet plugin;
  return interface == trireme::parquet_interface ? &plugin : nullptr;
}
