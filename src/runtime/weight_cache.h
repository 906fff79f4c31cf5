// A rank's weights in a packed cache on disk (Options::packed_cache): mapped when they are there,
// written beside the work when they are not. Nothing that happens to it stops anybody.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "core/model_texts.h"
#include "layers/parameter_store.h"
#include "trireme/options.h"
#include "weights/packed_cache.h"
#include "weights/tensor_source.h"

namespace trireme {

/// All that the bytes of `store`'s arena depend on: how they are packed, the model's files by
/// content and by time of writing, and each parameter's slice and form. An instruction set is part
/// of it only by its packing, a plan only by what this rank holds of the model.
PackedContents packed_contents(const ParameterStore& store, const TensorSource& source,
                               const ModelTexts& texts);

class WeightCache {
 public:
  /// `idle` is called at least ten times a second while this rank waits for the cache.
  WeightCache(const Options& options, const ParameterStore& store, const TensorSource& source,
              const ModelTexts& texts, std::function<void()> idle);
  /// Waits for what keep() has begun, unless an exception ends the rank.
  ~WeightCache();
  WeightCache(const WeightCache&) = delete;
  WeightCache& operator=(const WeightCache&) = delete;

  /// The arena from the cache, valid as long as this object; null if it has to be filled.
  const std::byte* map(ThreadPool& threads);
  /// Begins to write the filled arena, which must outlive this object, for the next start: by a
  /// thread that takes what the others leave of the processor.
  void keep(std::span<const std::byte> arena);

 private:
  void write(std::span<const std::byte> arena);
  void warn(const std::string& message) const;

  const TensorSource& source_;
  const std::function<void()> idle_;
  const std::function<void(const std::string&)> on_warning_;
  PackedContents contents_;
  std::vector<FileStamp> files_;  ///< when contents_ was made
  std::filesystem::path path_;
  std::optional<PackedCache> mapped_;
  int exceptions_ = std::uncaught_exceptions();  // more of them at the end: this rank has failed

  std::thread writer_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable written_;
  bool done_ = false;
};

}  // namespace trireme
