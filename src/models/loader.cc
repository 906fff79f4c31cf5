#include "models/loader.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <set>

#include "models/checked_tensor.h"
#include "models/row_reader.h"

namespace trireme {

namespace {

/// What a thread fills in one go: some panels of a matrix, or a vector.
struct Portion {
  PackedMatrix* matrix = nullptr;
  PackedVector* vector = nullptr;
  Range panels;
};

// Neighbouring panels go to one thread, twice a huge page and more: were two threads to touch the
// same fresh huge page, each would clear it. Smaller where that left threads without work.
constexpr std::size_t largest_portion = std::size_t{4} << 20;
constexpr std::size_t smallest_portion = std::size_t{256} << 10;
constexpr std::size_t portions_per_thread = 32;

/// Everything in `store`, in the order of its memory.
std::vector<Portion> portions_of(ParameterStore& store, int threads) {
  const std::size_t bytes =
      std::clamp(store.bytes() / (portions_per_thread * static_cast<std::size_t>(threads)),
                 smallest_portion, largest_portion);
  std::vector<Portion> portions;
  for (PackedMatrix& matrix : store.matrices()) {
    const std::int64_t panels = ceil_div(matrix.shape().n, store.backend().panel_rows());
    const std::size_t total = store.backend().packed_bytes(matrix.shape());
    const std::int64_t count = std::min(
        panels, ceil_div(static_cast<std::int64_t>(total), static_cast<std::int64_t>(bytes)));
    for (std::int64_t i = 0; i < count; ++i) {
      portions.push_back({&matrix, nullptr, even_part(panels, count, i)});
    }
  }
  for (PackedVector& vector : store.vectors()) portions.push_back({nullptr, &vector, {}});
  return portions;
}

/// Work of parallel_for must not throw: keeps the first error for the caller, and what comes after
/// it is left out.
class FirstError {
 public:
  template <typename Work>
  void guard(const Work& work) {
    if (failed_.load(std::memory_order_relaxed)) return;
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      failed_.store(true, std::memory_order_relaxed);
    }
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::exception_ptr error_;
};

// So much is read at once: many times what a system call costs, and still in the cache when it is
// packed.
constexpr std::size_t read_bytes = std::size_t{256} << 10;

/// How many panels of `matrix` are read at once. A file that holds the matrix transposed has a run
/// per k: the more rows, the longer are the runs, so a portion is read whole, or as many rows as
/// the source asks for.
std::int64_t panels_at_once(const PackedMatrix& matrix, std::int64_t panel_rows,
                            const RowReader& reader) {
  for (const ParameterPart& part : matrix.parts()) {
    if (part.parameter->transposed) return matrix.shape().n;
  }
  const auto panel_bytes = static_cast<std::size_t>(panel_rows * matrix.shape().k()) *
                           size_of(RowReader::dtype_of(matrix));
  return std::max(ceil_div(reader.rows_at_once(matrix), panel_rows),
                  static_cast<std::int64_t>(read_bytes / std::max<std::size_t>(1, panel_bytes)));
}

Range rows_of(const PackedMatrix& matrix, Range panels, std::int64_t panel_rows) {
  return {panels.begin * panel_rows, std::min(matrix.shape().n, panels.end * panel_rows)};
}

/// Fills a rank's parameters; of one thread.
class Filler {
 public:
  Filler(const ParameterStore& store, const TensorSource& source)
      : store_(store), backend_(store.backend()), reader_(source) {}

  void fill(PackedMatrix& matrix, Range panels);
  void fill(PackedVector& vector);
  /// Says that these panels come soon, so that a disk may begin.
  void announce(const PackedMatrix& matrix, Range panels) const {
    reader_.will_read(matrix, rows_of(matrix, panels, backend_.panel_rows()));
  }

 private:
  /// Where the host may write what goes to `place`: there, or into memory from where send() takes
  /// it to the device.
  std::byte* room(std::byte* place, std::size_t bytes) {
    if (backend_.uses_host_memory()) return place;
    staged_.resize(bytes);
    return staged_.data();
  }
  void send(std::byte* place) {
    if (!backend_.uses_host_memory()) backend_.upload(place, staged_);
  }

  const ParameterStore& store_;
  const Backend& backend_;
  RowReader reader_;
  std::vector<std::byte> staged_;
};

void Filler::fill(PackedMatrix& matrix, Range panels) {
  const MatrixShape& shape = matrix.shape();
  const std::int64_t panel_rows = backend_.panel_rows();
  const std::size_t panel_bytes = backend_.panel_bytes(shape);
  const std::size_t row_bytes =
      static_cast<std::size_t>(shape.k()) * size_of(RowReader::dtype_of(matrix));
  const std::int64_t step = panels_at_once(matrix, panel_rows, reader_);
  for (std::int64_t begin = panels.begin; begin < panels.end; begin += step) {
    const std::int64_t end = std::min(begin + step, panels.end);
    const std::byte* rows = reader_.read(matrix, rows_of(matrix, {begin, end}, panel_rows));
    std::byte* const place =
        store_.mutable_data(matrix) + static_cast<std::size_t>(begin) * panel_bytes;
    std::byte* packed = room(place, static_cast<std::size_t>(end - begin) * panel_bytes);
    for (std::int64_t panel = begin; panel < end; ++panel) {
      backend_.pack_panel(shape, panel, rows, packed);
      rows += static_cast<std::size_t>(panel_rows) * row_bytes;
      packed += panel_bytes;
    }
    send(place);
  }
}

void Filler::fill(PackedVector& vector) {
  auto* const place = reinterpret_cast<std::byte*>(store_.mutable_data(vector));
  reader_.read(vector, reinterpret_cast<float*>(room(place, vector.bytes())));
  send(place);
}

}  // namespace

namespace {

/// A checkpoint saved from the bare base model lacks the base model's name in front.
const TensorInfo* find_with_or_without_prefix(const TensorSource& source, std::string_view name) {
  if (const TensorInfo* found = source.find(name)) return found;
  for (const std::string_view prefix :
       {"transformer.", "model.", "bert.", "roberta.", "distilbert."}) {
    if (name.starts_with(prefix)) return source.find(name.substr(prefix.size()));
  }
  return nullptr;
}

}  // namespace

const TensorInfo* find_tensor(const TensorSource& source, std::string_view name) {
  if (const TensorInfo* found = find_with_or_without_prefix(source, name)) return found;
  // Checkpoints made from TensorFlow's name a norm's weight gamma and its bias beta.
  for (const auto& [now, then] :
       {std::pair<std::string_view, std::string_view>{"LayerNorm.weight", "LayerNorm.gamma"},
        {"LayerNorm.bias", "LayerNorm.beta"}}) {
    if (!name.ends_with(now)) continue;
    return find_with_or_without_prefix(
        source, fmt::format("{}{}", name.substr(0, name.size() - now.size()), then));
  }
  return nullptr;
}

void check_checkpoint(const ModelSpec& model, const TensorSource& source) {
  for (const BlockSpec& block : model.blocks) {
    for (const ParameterSpec& parameter : block.parameters) checked_tensor(source, parameter);
  }
}

void load_parameters(ParameterStore& store, const TensorSource& source, ThreadPool& threads,
                     const std::function<void()>& progress) {
  const std::vector<Portion> portions = portions_of(store, threads.size());
  std::vector<Filler> fillers(static_cast<std::size_t>(threads.size()), Filler(store, source));
  FirstError error;
  const auto announce = [&](std::size_t index, const Filler& filler) {
    if (index >= portions.size() || portions[index].matrix == nullptr) return;
    filler.announce(*portions[index].matrix, portions[index].panels);
  };
  const auto load = [&](std::int64_t index, int thread) {
    const Portion& portion = portions[static_cast<std::size_t>(index)];
    Filler& filler = fillers[static_cast<std::size_t>(thread)];
    error.guard([&] {
      // While this portion is packed, a disk reads the one that this thread takes next.
      if (index == 0) announce(0, filler);
      announce(static_cast<std::size_t>(index) + 1, filler);
      if (portion.vector != nullptr) {
        filler.fill(*portion.vector);
      } else {
        filler.fill(*portion.matrix, portion.panels);
      }
      if (thread == 0 && progress) progress();
    });
  };
  threads.parallel_for_with_thread(static_cast<std::int64_t>(portions.size()), load);
  error.rethrow();
  store.backend().finish();
}

std::vector<DummyTensor> dummy_tensors(const ModelSpec& model) {
  std::vector<DummyTensor> tensors;
  std::set<std::string> seen;
  for (const BlockSpec& block : model.blocks) {
    for (const ParameterSpec& parameter : block.parameters) {
      if (!seen.insert(parameter.tensor).second) continue;
      const bool norm_weight = parameter.is_vector() && parameter.key.ends_with(".weight");
      tensors.push_back({parameter.tensor, model.dtype, expected_shape(parameter),
                         norm_weight ? 1.0f : 0.0f, norm_weight ? 0.1f : 0.02f});
    }
  }
  return tensors;
}

}  // namespace trireme
