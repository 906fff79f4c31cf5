// Loading against one value at a time: every dtype pair, stacked, cut, transposed, quantised, at
// sizes that leave tails; and what happens when a read fails.
#include "models/loader.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <mutex>

#include "core/buffer.h"
#include "core/error.h"
#include "kernels/registry.h"

namespace trireme {
namespace {

std::vector<std::byte> encoded(const std::vector<double>& values, DType dtype) {
  std::vector<std::byte> bytes(values.size() * size_of(dtype));
  std::byte* out = bytes.data();
  for (const double value : values) {
    const auto narrow = static_cast<float>(value);
    const std::uint16_t half = dtype == DType::bf16 ? f32_to_bf16(narrow) : f32_to_f16(narrow);
    if (dtype == DType::f64) std::memcpy(out, &value, 8);
    if (dtype == DType::f32) std::memcpy(out, &narrow, 4);
    if (size_of(dtype) == 2) std::memcpy(out, &half, 2);
    out += size_of(dtype);
  }
  return bytes;
}

/// Tensors in memory, whose numbers tell tensor, row and column apart.
class MemorySource : public TensorSource {
 public:
  void add(const std::string& name, DType dtype, std::vector<std::int64_t> shape) {
    Entry entry{{name, dtype, std::move(shape), "memory"}, {}};
    const auto salt = static_cast<double>(entries_.size() + 1);
    for (std::int64_t i = 0; i < entry.info.elements(); ++i) {
      entry.values.push_back(salt * static_cast<double>(i * 7919 % 20011 - 10000) / 65537.0);
    }
    entries_.emplace(name, std::move(entry));
  }
  void fail_in(std::string name) { failing_ = std::move(name); }

  /// As float32, after the file's dtype has rounded it.
  float value(const std::string& name, std::int64_t row, std::int64_t col) const {
    const Entry& entry = entries_.at(name);
    const std::int64_t cols = entry.info.shape.size() < 2 ? 0 : entry.info.shape[1];
    const auto bytes =
        encoded({entry.values[static_cast<std::size_t>(row * cols + col)]}, entry.info.dtype);
    float one = 0;
    convert_to_f32(bytes.data(), entry.info.dtype, &one, 1);
    return one;
  }

  const TensorInfo* find(std::string_view name) const override {
    const auto found = entries_.find(name);
    return found == entries_.end() ? nullptr : &found->second.info;
  }
  std::vector<const TensorInfo*> tensors() const override { return {}; }
  std::string describe() const override { return "memory"; }
  void read(const TensorInfo& tensor, Range rows, Range cols, std::byte* out) const override {
    if (tensor.name == failing_) fail(ErrorKind::input, "{} is broken", tensor.name);
    const Entry& entry = entries_.find(tensor.name)->second;
    const std::int64_t stride = tensor.shape.back();
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const auto* first = entry.values.data() + row * stride;
      const auto bytes = encoded({first + cols.begin, first + cols.end}, tensor.dtype);
      std::memcpy(out, bytes.data(), bytes.size());
      out += bytes.size();
    }
    const std::lock_guard lock(mutex_);
    bytes_ += rows.size() * cols.size() * static_cast<std::int64_t>(size_of(tensor.dtype));
  }
  void will_read(const TensorInfo& tensor, Range rows, Range cols) const override {
    const std::lock_guard lock(mutex_);
    announced_ += rows.size() * cols.size() * static_cast<std::int64_t>(size_of(tensor.dtype));
  }
  std::vector<FileStamp> files() const override { return {}; }
  std::int64_t bytes_read() const override { return bytes_; }
  std::int64_t bytes_announced() const { return announced_; }

 private:
  struct Entry {
    TensorInfo info;
    std::vector<double> values;
  };
  std::map<std::string, Entry, std::less<>> entries_;
  std::string failing_;
  mutable std::mutex mutex_;
  mutable std::int64_t bytes_ = 0;
  mutable std::int64_t announced_ = 0;
};

ParameterSpec matrix_spec(const std::string& tensor, std::int64_t rows, std::int64_t cols,
                          bool transposed) {
  ParameterSpec spec;
  spec.key = tensor;
  spec.tensor = tensor;
  spec.rows = rows;
  spec.cols = cols;
  spec.transposed = transposed;
  return spec;
}

/// Packs the entry one value at a time.
std::vector<std::byte> expected(const Backend& backend, const MemorySource& source,
                                const PackedMatrix& matrix) {
  std::vector<double> values;
  for (const ParameterPart& part : matrix.parts()) {
    for (std::int64_t row = part.slice.rows.begin; row < part.slice.rows.end; ++row) {
      const std::int64_t file_row = row + part.parameter->tensor_row_begin;
      for (std::int64_t col = part.slice.cols.begin; col < part.slice.cols.end; ++col) {
        values.push_back(part.parameter->transposed
                             ? source.value(part.parameter->tensor, col, file_row)
                             : source.value(part.parameter->tensor, file_row, col));
      }
    }
  }
  const MatrixShape& shape = matrix.shape();
  const auto bytes = encoded(values, shape.group > 0 ? DType::f32 : shape.dtype);
  const std::size_t row_bytes = bytes.size() / static_cast<std::size_t>(shape.n);
  std::vector<std::byte> packed(backend.packed_bytes(shape));
  for (std::int64_t row = 0; row < shape.n; row += backend.panel_rows()) {
    const std::int64_t panel = row / backend.panel_rows();
    backend.pack_panel(
        shape, panel, bytes.data() + static_cast<std::size_t>(row) * row_bytes,
        packed.data() + static_cast<std::size_t>(panel) * backend.panel_bytes(shape));
  }
  return packed;
}

struct Loaded {
  Buffer arena;
  explicit Loaded(ParameterStore& store, const TensorSource& source, int threads)
      : arena(store.bytes()) {
    store.place(arena.data());
    ThreadPool pool(threads);
    load_parameters(store, source, pool);
  }
};

void expect_loaded(const MemorySource& source, ParameterStore& store, const Backend& backend) {
  for (const PackedMatrix& matrix : store.matrices()) {
    const auto bytes = expected(backend, source, matrix);
    EXPECT_EQ(std::memcmp(bytes.data(), matrix.data(), bytes.size()), 0)
        << matrix.parts().front().parameter->tensor << " as " << name_of(matrix.shape().dtype);
  }
}

constexpr DType file_dtypes[] = {DType::f32, DType::bf16, DType::f16, DType::f64};
const WeightFormat formats[] = {
    {DType::f32, 0}, {DType::bf16, 0}, {DType::f16, 0}, {DType::i8, 64}, {DType::i4, 64}};

TEST(LoadParameters, EveryDtypeStackedCutAndTransposed) {
  const auto backend = make_backend("reference");
  for (const DType dtype : file_dtypes) {
    for (const WeightFormat& format : formats) {
      for (const bool transposed : {false, true}) {
        MemorySource source;
        const auto add = [&](const char* name, std::int64_t rows, std::int64_t cols) {
          source.add(name, dtype, transposed ? std::vector{cols, rows} : std::vector{rows, cols});
          return matrix_spec(name, rows, cols, transposed);
        };
        const ParameterSpec a = add("a", 71, 101);
        ParameterSpec b = add("b", 40, 101);  // rows [5, 38) of a tensor of 40
        b.rows = 33;
        b.tensor_rows = 40;
        b.tensor_row_begin = 5;
        ParameterStore store(*backend);
        store.add_matrix({{&a, {{0, 71}, {0, 101}}}}, {64, 37}, format);
        store.add_matrix({{&a, {{3, 70}, {7, 40}}}, {&b, {{1, 33}, {7, 40}}}}, {33}, format);
        store.add_matrix({{&b, {{0, 1}, {100, 101}}}}, {1}, format);
        const Loaded loaded(store, source, 3);
        expect_loaded(source, store, *backend);
      }
    }
  }
}

TEST(LoadParameters, ManyPortionsOfOneMatrix) {
  const auto backend = make_backend("reference");
  for (const bool transposed : {false, true}) {
    MemorySource source;
    source.add(
        "a", DType::bf16,
        transposed ? std::vector<std::int64_t>{600, 1111} : std::vector<std::int64_t>{1111, 600});
    const ParameterSpec a = matrix_spec("a", 1111, 600, transposed);
    ParameterStore store(*backend);
    store.add_matrix({{&a, {{0, 1111}, {0, 600}}}}, {512, 88}, {DType::bf16, 0});
    const Loaded loaded(store, source, 2);
    expect_loaded(source, store, *backend);
    EXPECT_EQ(source.bytes_read(), 1111 * 600 * 2);  // no byte twice
    EXPECT_EQ(source.bytes_announced(), source.bytes_read());
  }
}

TEST(LoadParameters, VectorsAndTables) {
  const auto backend = make_backend("reference");
  for (const DType dtype : file_dtypes) {
    MemorySource source;
    source.add("v", dtype, {50});
    source.add("t", dtype, {9, 5});
    const ParameterSpec v = matrix_spec("v", 50, 0, false);
    const ParameterSpec t = matrix_spec("t", 9, 5, false);
    ParameterStore store(*backend);
    const PackedVector& both = store.add_vector({{&v, {{10, 30}, {0, 0}}}, {&t, {{0, 9}, {1, 4}}}});
    const Loaded loaded(store, source, 2);
    ASSERT_EQ(both.size(), 20 + 27);
    for (std::int64_t i = 0; i < 20; ++i) EXPECT_EQ(both.data()[i], source.value("v", 0, 10 + i));
    for (std::int64_t i = 0; i < 27; ++i) {
      EXPECT_EQ(both.data()[20 + i], source.value("t", i / 3, 1 + i % 3));
    }
  }
}

TEST(LoadParameters, TheFirstErrorComesOut) {
  const auto backend = make_backend("reference");
  MemorySource source;
  source.add("good", DType::f32, {64, 32});
  source.add("bad", DType::f32, {64, 32});
  source.fail_in("bad");
  const ParameterSpec good = matrix_spec("good", 64, 32, false);
  const ParameterSpec bad = matrix_spec("bad", 64, 32, false);
  ParameterStore store(*backend);
  store.add_matrix({{&bad, {{0, 64}, {0, 32}}}}, {32}, {DType::f32, 0});
  store.add_matrix({{&good, {{0, 64}, {0, 32}}}}, {32}, {DType::f32, 0});
  try {
    const Loaded loaded(store, source, 1);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "bad is broken");
  }
  EXPECT_EQ(source.bytes_read(), 0);  // nothing is read for nothing
}

TEST(LoadParameters, ProgressIsHeardOnTheCallingThread) {
  const auto backend = make_backend("reference");
  MemorySource source;
  source.add("a", DType::f32, {640, 320});
  const ParameterSpec a = matrix_spec("a", 640, 320, false);
  ParameterStore store(*backend);
  store.add_matrix({{&a, {{0, 640}, {0, 320}}}}, {320}, {DType::f32, 0});
  Buffer arena(store.bytes());
  store.place(arena.data());
  ThreadPool one(1);
  int heard = 0;
  load_parameters(store, source, one, [&] { ++heard; });
  EXPECT_GT(heard, 1);
}

}  // namespace
}  // namespace trireme
