#include "weights/quantized_source.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "weights/matrix_view.h"
#include "weights/packed_words.h"
#include "weights/quantized_linear.h"

namespace trireme {

namespace {

constexpr std::string_view packed_suffix = ".qweight";

/// Columns next to each other of one group.
struct Run {
  Range cols;  ///< from the first column that is read
  std::int64_t group = 0;
};

/// A rectangle of one matrix as its integers.
struct Codes {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::vector<Run> runs;
  Range groups;                     ///< that these columns belong to
  std::vector<std::uint8_t> codes;  ///< [rows, cols]
  std::vector<std::uint8_t> zeros;  ///< [groups, rows]
  std::vector<float> scales;        ///< [groups, rows]

  /// Calls work(index of its first element, how many, zero, scale) for each run of each row.
  template <typename Work>
  void for_runs(const Work& work) const {
    for (std::int64_t row = 0; row < rows; ++row) {
      for (const Run& run : runs) {
        const auto at = static_cast<std::size_t>((run.group - groups.begin) * rows + row);
        work(row * cols + run.cols.begin, run.cols.size(), zeros[at], scales[at]);
      }
    }
  }
};

std::vector<Run> runs_of(const QuantizedLinear& linear, Range cols) {
  std::vector<Run> runs;
  for (std::int64_t k = cols.begin; k < cols.end; ++k) {
    const std::int64_t group = linear.group_of(k);
    if (runs.empty() || runs.back().group != group) {
      runs.push_back({{k - cols.begin, k - cols.begin}, group});
    }
    ++runs.back().cols.end;
  }
  return runs;
}

Range groups_of(const std::vector<Run>& runs) {
  Range groups{std::numeric_limits<std::int64_t>::max(), 0};
  for (const Run& run : runs) {
    groups = {std::min(groups.begin, run.group), std::max(groups.end, run.group + 1)};
  }
  return groups;
}

class QuantizedSource : public TensorSource {
 public:
  QuantizedSource(std::unique_ptr<TensorSource> files, const CheckpointQuantization& quantization)
      : files_(std::move(files)), quantization_(quantization) {
    for (const TensorInfo* tensor : files_->tensors()) {
      if (!tensor->name.ends_with(packed_suffix)) continue;
      const std::string name = tensor->name.substr(0, tensor->name.size() - packed_suffix.size());
      QuantizedLinear linear = open_linear(*files_, quantization_, name);
      for (const TensorInfo* part : {linear.qweight, linear.qzeros, linear.scales, linear.g_idx}) {
        if (part != nullptr) parts_.insert(part->name);
      }
      if (const TensorInfo* bias = zero_bias(name)) zero_biases_.insert(bias->name);
      linears_.emplace(linear.info.name, std::move(linear));
    }
  }

  const TensorInfo* find(std::string_view name) const override {
    if (const auto found = linears_.find(name); found != linears_.end()) return &found->second.info;
    return parts_.contains(name) ? nullptr : files_->find(name);
  }

  std::vector<const TensorInfo*> tensors() const override {
    std::vector<const TensorInfo*> all;
    for (const TensorInfo* tensor : files_->tensors()) {
      if (parts_.contains(tensor->name) || zero_biases_.contains(tensor->name)) continue;
      all.push_back(tensor);
    }
    for (const auto& [name, linear] : linears_) all.push_back(&linear.info);
    std::ranges::sort(all, {}, [](const TensorInfo* tensor) { return tensor->name; });
    return all;
  }

  std::string describe() const override { return files_->describe(); }
  std::vector<FileStamp> files() const override { return files_->files(); }
  std::int64_t bytes_read() const override { return files_->bytes_read(); }

  void read(const TensorInfo& tensor, Range rows, Range cols, std::byte* out) const override {
    const auto found = linears_.find(tensor.name);
    if (found == linears_.end()) return files_->read(tensor, rows, cols, out);
    const Codes codes = codes_of(found->second, rows, cols);
    auto* const values = reinterpret_cast<float*>(out);
    codes.for_runs([&](std::int64_t first, std::int64_t count, std::uint8_t zero, float scale) {
      const std::uint8_t* const from = codes.codes.data() + first;
      for (std::int64_t i = 0; i < count; ++i) {
        values[first + i] = scale * static_cast<float>(int{from[i]} - int{zero});
      }
    });
  }

  void read_codes(const TensorInfo& tensor, Range rows, Range cols,
                  CodedWeight* out) const override {
    const auto found = linears_.find(tensor.name);
    TRIREME_ASSERT(found != linears_.end() && tensor.code_group > 0);
    const Codes codes = codes_of(found->second, rows, cols);
    codes.for_runs([&](std::int64_t first, std::int64_t count, std::uint8_t zero, float scale) {
      const std::uint16_t bits = f32_to_f16(scale);  // it was float16: exact
      const std::uint8_t* const from = codes.codes.data() + first;
      for (std::int64_t i = 0; i < count; ++i) out[first + i] = {from[i], zero, bits};
    });
  }

  void will_read(const TensorInfo& tensor, Range rows, Range cols) const override {
    const auto found = linears_.find(tensor.name);
    if (found == linears_.end()) return files_->will_read(tensor, rows, cols);
    const auto [lines, words] = words_within(rows, cols);
    files_->will_read(*found->second.qweight, lines, words);
  }

 private:
  bool gptq() const { return quantization_.method == QuantizationMethod::gptq; }

  /// Rows and columns of qweight.
  std::pair<Range, Range> words_within(Range rows, Range cols) const {
    if (gptq()) return {words_of(cols, quantization_.bits), rows};
    return {cols, words_of(rows, quantization_.bits)};
  }

  std::vector<std::uint32_t> words(const TensorInfo& tensor, Range rows, Range cols) const {
    std::vector<std::uint32_t> all(static_cast<std::size_t>(rows.size() * cols.size()));
    files_->read(tensor, rows, cols, reinterpret_cast<std::byte*>(all.data()));
    return all;
  }

  Codes codes_of(const QuantizedLinear& linear, Range rows, Range cols) const {
    check_slice(linear.info, rows, cols);
    Codes codes{.rows = rows.size(), .cols = cols.size(), .runs = runs_of(linear, cols)};
    if (rows.empty() || cols.empty()) return {};
    codes.groups = groups_of(codes.runs);
    const auto [lines, columns] = words_within(rows, cols);
    const std::vector<std::uint32_t> packed = words(*linear.qweight, lines, columns);
    codes.codes.resize(static_cast<std::size_t>(rows.size() * cols.size()));
    if (gptq()) {
      unpack_gptq_codes(packed, rows, cols, quantization_.bits, codes.codes.data());
    } else {
      unpack_awq_codes(packed, rows, cols, codes.codes.data());
    }
    read_zeros(linear, rows, codes);
    read_scales(linear, rows, codes);
    return codes;
  }

  void read_zeros(const QuantizedLinear& linear, Range rows, Codes& codes) const {
    const std::vector<std::uint32_t> packed =
        words(*linear.qzeros, codes.groups, words_of(rows, quantization_.bits));
    codes.zeros.resize(static_cast<std::size_t>(codes.groups.size() * rows.size()));
    if (gptq()) {
      unpack_gptq_zeros(packed, codes.groups.size(), rows,
                        {quantization_.bits, quantization_.zeros_less_one, quantization_.symmetric},
                        codes.zeros.data());
    } else {
      unpack_awq_zeros(packed, codes.groups.size(), rows, codes.zeros.data());
    }
  }

  void read_scales(const QuantizedLinear& linear, Range rows, Codes& codes) const {
    const auto count = static_cast<std::size_t>(codes.groups.size() * rows.size());
    std::vector<std::byte> raw(count * size_of(linear.scales->dtype));
    files_->read(*linear.scales, codes.groups, rows, raw.data());
    codes.scales.resize(count);
    convert_to_f32(raw.data(), linear.scales->dtype, codes.scales.data(), count);
  }

  /// The bias of a quantised matrix, if there is one and all of it is zero.
  const TensorInfo* zero_bias(const std::string& name) const {
    const TensorInfo* bias = files_->find(name + ".bias");
    if (bias == nullptr || bias->shape.size() != 1) return nullptr;
    std::vector<std::byte> bytes(static_cast<std::size_t>(bias->bytes_in_file()));
    files_->read(*bias, {0, 1}, {0, bias->shape[0]}, bytes.data());
    const bool zero = std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
    return zero ? bias : nullptr;
  }

  std::unique_ptr<TensorSource> files_;
  CheckpointQuantization quantization_;
  std::map<std::string, QuantizedLinear, std::less<>> linears_;  ///< by "X.weight"
  std::set<std::string, std::less<>> parts_;                     ///< what they are made from
  std::set<std::string, std::less<>> zero_biases_;
};

}  // namespace

std::unique_ptr<TensorSource> open_quantized(std::unique_ptr<TensorSource> files,
                                             const CheckpointQuantization& quantization) {
  if (find_packed_weight(*files) == nullptr) {
    fail(ErrorKind::input,
         "{}: config.json has a quantization_config, but no tensor here ends in {}; do config.json "
         "and the weights belong together?",
         files->describe(), packed_suffix);
  }
  return std::make_unique<QuantizedSource>(std::move(files), quantization);
}

const TensorInfo* find_packed_weight(const TensorSource& files) {
  for (const TensorInfo* tensor : files.tensors()) {
    if (tensor->name.ends_with(packed_suffix)) return tensor;
  }
  return nullptr;
}

}  // namespace trireme
