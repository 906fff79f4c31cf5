// Where tensors come from: a checkpoint's files, or made-up numbers. Sources hand out slices, so
// that a rank reads only the bytes it keeps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/coded_weight.h"
#include "core/dtype.h"
#include "core/error.h"
#include "core/range.h"
#include "weights/file.h"

namespace trireme {

/// A tensor as read() hands it out.
struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::string file;               ///< for messages
  std::int64_t packed_bytes = 0;  ///< in the file, where it is not as it is handed out

  // Of a matrix that the files hold as integers with scales and zeros; read() makes float32 of it.
  int code_bits = 0;  ///< 0: it is no such matrix
  /// read_codes() gives codes of which so many aligned columns share scale and zero. 0: they cannot
  /// be had (columns in no order, or scales that are not float16).
  std::int64_t code_group = 0;
  std::int64_t rows_at_once = 1;  ///< fewer rows in one read() take as long

  std::int64_t elements() const {
    std::int64_t product = 1;
    for (const std::int64_t size : shape) product *= size;
    return product;
  }
  std::int64_t bytes_in_file() const {
    return packed_bytes > 0 ? packed_bytes : elements() * static_cast<std::int64_t>(size_of(dtype));
  }
};

class TensorSource {
 public:
  virtual ~TensorSource() = default;

  /// Null if there is none of that name.
  virtual const TensorInfo* find(std::string_view name) const = 0;
  /// All tensors, in order of name.
  virtual std::vector<const TensorInfo*> tensors() const = 0;
  /// For messages: the directory or file.
  virtual std::string describe() const = 0;

  /// Copies a rectangle of the tensor seen as a matrix [shape[0], product of the rest] (a vector is
  /// [1, size]), in the tensor's own dtype, into `out`, row-major, rows.size() * cols.size()
  /// elements, aligned to them. Thread-safe.
  virtual void read(const TensorInfo& tensor, Range rows, Range cols, std::byte* out) const = 0;

  /// The same of a matrix with a code_group, undone: its integers, each with its zero and scale.
  virtual void read_codes(const TensorInfo& tensor, Range rows, Range cols,
                          CodedWeight* out) const {
    (void)tensor, (void)rows, (void)cols, (void)out;
    TRIREME_ASSERT(false);
  }

  /// Says that read() of this rectangle follows soon, so that a disk may begin. Thread-safe.
  virtual void will_read(const TensorInfo& tensor, Range rows, Range cols) const = 0;

  /// The files that tensors are read from, as they are now; none where numbers are made up. Whoever
  /// keeps what he made of the tensors keeps these beside it.
  virtual std::vector<FileStamp> files() const = 0;

  /// Bytes of tensor data handed out so far: the tests hold ranks to reading only their share.
  virtual std::int64_t bytes_read() const = 0;
};

/// Opens model.safetensors, or the shards that model.safetensors.index.json names. Checks every
/// header fully. Throws Error(input) naming file and tensor.
std::unique_ptr<TensorSource> open_checkpoint(const std::filesystem::path& model_directory);

/// A tensor that a dummy source should make up.
struct DummyTensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  float mean = 0.0f;
  float stddev = 0.02f;
};

/// Makes up the given tensors: each element is a pure function of (seed, tensor name, index), so
/// that any slice under any plan sees the same numbers.
std::unique_ptr<TensorSource> make_dummy_source(std::vector<DummyTensor> tensors,
                                                std::uint64_t seed);

/// Finds a model: a directory, a .gguf file, a directory with one of these and no config.json (then
/// the file is what is returned), or `org/name` in the local Hugging Face cache (HF_HUB_CACHE,
/// HF_HOME, XDG_CACHE_HOME, ~/.cache/huggingface/hub honoured; `revision` a branch or commit).
/// Throws Error(input) saying where it looked.
std::filesystem::path find_model(std::string_view model, std::string_view revision = "main");

}  // namespace trireme
