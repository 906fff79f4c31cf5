#include "runtime/weight_cache.h"

#include <fmt/ranges.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <exception>

#include "core/error.h"
#include "core/hash.h"
#include "weights/fingerprint.h"

namespace trireme {

namespace {

std::string describe(const std::vector<ParameterPart>& parts) {
  std::string text;
  for (const ParameterPart& part : parts) {
    const ParameterSpec& parameter = *part.parameter;
    const auto [rows, cols] = part.slice;
    text +=
        fmt::format("{}{}[{}:{},{}:{}]{}", text.empty() ? "" : "+", parameter.tensor,
                    rows.begin + parameter.tensor_row_begin, rows.end + parameter.tensor_row_begin,
                    cols.begin, cols.end, parameter.transposed ? "^T" : "");
  }
  return text;
}

std::vector<PackedEntry> entries_of(const ParameterStore& store) {
  std::vector<PackedEntry> entries;
  for (const PackedMatrix& matrix : store.matrices()) {
    const MatrixShape& shape = matrix.shape();
    entries.push_back(
        {fmt::format("{} as {} groups {} shards {}", describe(matrix.parts()), name_of(shape.dtype),
                     shape.group, fmt::join(shape.k_shards, ",")),
         matrix.offset(), matrix.bytes()});
  }
  for (const PackedVector& vector : store.vectors()) {
    entries.push_back({describe(vector.parts()) + " as a vector", vector.offset(), vector.bytes()});
  }
  return entries;
}

/// What a checkpoint's integers mean is said here.
constexpr std::array config_files{"config.json", "quantize_config.json"};

std::string key_of(const ParameterStore& store, const TensorSource& source,
                   const std::vector<FileStamp>& files, const ModelTexts& texts) {
  std::string key = fmt::format("packing={}\n", store.backend().packing());
  for (const char* const name : config_files) {
    const std::optional<std::string> text = texts.read(name);
    key += fmt::format("{}={}\n", name, text ? digest_text(fnv1a(*text)) : "absent");
  }
  key += describe_weights(source);
  // The samples do not see a change of single elements, but whoever makes one writes the file.
  for (const FileStamp& file : files) {
    key += fmt::format("{}={} bytes, written at {} ns\n", weight_file_label(file.name), file.size,
                       file.modified_ns);
  }
  return key;
}

PackedContents contents_of(const ParameterStore& store, const TensorSource& source,
                           const std::vector<FileStamp>& files, const ModelTexts& texts) {
  return {key_of(store, source, files, texts), entries_of(store), store.bytes()};
}

/// A name that no other contents have, but by chance: then the header tells.
std::string file_name(const PackedContents& contents) {
  std::uint64_t hash = fnv1a(contents.key);
  for (const PackedEntry& entry : contents.entries) hash = fnv1a(entry.name, hash);
  return digest_text(hash) + std::string(packed_cache_suffix);
}

/// The thread that calls this gets what others leave of the processor.
void step_back() {
  constexpr int nicest = 19;
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), nicest);
}

}  // namespace

PackedContents packed_contents(const ParameterStore& store, const TensorSource& source,
                               const ModelTexts& texts) {
  return contents_of(store, source, source.files(), texts);
}

WeightCache::WeightCache(const Options& options, const ParameterStore& store,
                         const TensorSource& source, const ModelTexts& texts,
                         std::function<void()> idle)
    : source_(source),
      idle_(std::move(idle)),
      on_warning_(options.on_warning),
      files_(source.files()) {
  contents_ = contents_of(store, source, files_, texts);
  path_ = std::filesystem::path(options.packed_cache) / file_name(contents_);
}

WeightCache::~WeightCache() {
  if (!writer_.joinable()) return;
  if (std::uncaught_exceptions() > exceptions_) stop_ = true;
  constexpr std::chrono::milliseconds look_every{100};
  constexpr int looks_in_silence = 20;
  std::unique_lock lock(mutex_);
  for (int looks = 0; !written_.wait_for(lock, look_every, [this] { return done_; }); ++looks) {
    idle_();
    if (looks == looks_in_silence) {
      warn(path_.string() + ": still being written for the next start; stopping does no harm");
    }
  }
  writer_.join();
}

void WeightCache::warn(const std::string& message) const {
  if (on_warning_) on_warning_(message);
}

const std::byte* WeightCache::map(ThreadPool& threads) {
  try {
    mapped_ = PackedCache::open(path_, contents_, threads, idle_);
  } catch (const Error& error) {
    warn(fmt::format("{}; the weights are read from {} instead, and this file is written anew",
                     error.what(), source_.describe()));
  }
  return mapped_ ? mapped_->payload().data() : nullptr;
}

void WeightCache::keep(std::span<const std::byte> arena) {
  TRIREME_ASSERT(!writer_.joinable());
  writer_ = std::thread([this, arena] {
    step_back();
    write(arena);
    const std::lock_guard lock(mutex_);
    done_ = true;
    written_.notify_all();
  });
}

void WeightCache::write(std::span<const std::byte> arena) {
  try {
    // Else it would be known by what the files were before somebody wrote into them.
    if (source_.files() != files_) {
      fail(ErrorKind::input, "{}: not written: the model's files have changed since this start",
           path_.string());
    }
    write_packed_cache(path_, contents_, arena, stop_);
  } catch (const std::exception& error) {
    warn(fmt::format("{}; the next start reads the checkpoint again", error.what()));
  }
}

}  // namespace trireme
