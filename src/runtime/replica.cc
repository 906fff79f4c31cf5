#include "runtime/replica.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "kernels/cuda_plugin.h"
#include "kernels/registry.h"
#include "models/loader.h"
#include "models/quantization_config.h"
#include "models/registry.h"
#include "models/shapes.h"
#include "plan/gpu.h"
#include "plan/host.h"
#include "runtime/placement.h"
#include "weights/model_files.h"

namespace trireme {

namespace {

/// Virtual shards of heads and of the MLP on a GPU: each is a sum that passes through memory, and
/// eight serve the GPUs of a host. A model of float32 keeps those of the CPU, and so its bits.
constexpr std::int64_t gpu_shards = 8;

void cut_for(Model& model, const Options& options) {
  // A plan may be for GPUs that are not here.
  const bool gpu = options.device.starts_with("cuda") || is_gpu(options.device);
  if (gpu && model.spec().dtype != DType::f32) model.cut_less(gpu_shards);
}

DType resolve_dtype(const Options& options, const HfConfig& config, const TensorSource* source) {
  if (options.dtype != "auto") {
    const std::optional<DType> dtype = dtype_from_name(options.dtype);
    if (!dtype || (*dtype != DType::f32 && *dtype != DType::bf16 && *dtype != DType::f16)) {
      fail(ErrorKind::usage, "--dtype {}: expected auto, float32, bfloat16 or float16",
           options.dtype);
    }
    return *dtype;
  }
  if (const std::optional<DType> dtype = config.dtype()) return *dtype;
  if (source == nullptr) return DType::f32;
  for (const TensorInfo* tensor : source->tensors()) {
    if (tensor->dtype == DType::bf16 || tensor->dtype == DType::f16) return tensor->dtype;
  }
  return DType::f32;
}

/// Decides how `model` keeps its matrices; returns a line for the user, or none. `source` is null
/// where weights are made up.
std::string quantize(Model& model, const Options& options, const TensorSource* source) {
  if (options.quantization == "auto") {
    return source == nullptr ? "" : model.keep_codes(*source);
  }
  const std::optional<Quantization> found = quantization_from_name(options.quantization);
  if (!found) {
    fail(ErrorKind::usage, "--quantization {}: expected auto, none, int8 or int4",
         options.quantization);
  }
  model.quantize(*found);
  return "";
}

}  // namespace

int threads_per_rank(const Options& options, int local_ranks) {
  if (options.threads > 0) return options.threads;
  const HostCores host = host_cores();
  const int quota = host.quota > 0 ? static_cast<int>(std::ceil(host.quota)) : host.online;
  // mpirun may have bound this rank to cores of its own, so the share is of all of them.
  const int share = std::min(host.online, quota) / std::max(1, local_ranks);
  return std::clamp(share, 1, host.allowed);
}

MemoryLimits memory_limits(const Options& options, const ModelSpec& model) {
  const std::int64_t most = model.any_positions ? SizeLimits::positions : model.max_positions;
  if (options.max_model_len > most) {
    fail(ErrorKind::usage, "--max-model-len {}: the model's context is {} tokens",
         options.max_model_len, most);
  }
  MemoryLimits limits{
      .max_model_len = options.max_model_len > 0 ? options.max_model_len : model.max_positions,
      .max_sequences = std::max<std::int64_t>(1, options.max_sequences),
      .max_step_tokens = std::max<std::int64_t>(1, options.max_step_tokens)};
  if (model.is_encoder_decoder()) limits.max_source_len = limits.max_model_len;
  // What is not cut into chunks has to fit a step.
  if (model.whole_sequences || model.is_encoder_decoder()) {
    limits.max_step_tokens = std::max(limits.max_step_tokens, limits.max_model_len);
  }
  return limits;
}

namespace {

/// A built-in shape has no files: its config is known and its weights are made up.
OpenModel open_shape(const Options& options) {
  if (options.load_format != "auto" && options.load_format != "dummy") {
    fail(ErrorKind::usage, "--load-format {}: {} has made-up weights only", options.load_format,
         options.model);
  }
  auto texts = std::make_unique<ShapeTexts>(options.model);
  HfConfig config = HfConfig::read(*texts, "config.json");
  std::unique_ptr<Model> model = make_model(config, resolve_dtype(options, config, nullptr));
  cut_for(*model, options);
  quantize(*model, options, nullptr);
  auto source = make_dummy_source(dummy_tensors(model->spec()), options.load_seed);
  return {std::move(texts), std::move(config), std::move(source), std::move(model)};
}

}  // namespace

OpenModel open_model(const Options& options) {
  if (options.model.starts_with(shape_prefix)) return open_shape(options);
  std::unique_ptr<ModelFiles> files = open_model_files(find_model(options.model, options.revision));
  HfConfig config = HfConfig::read(*files, "config.json");
  const bool dummy = options.load_format == "dummy";
  if (!dummy && options.load_format != "auto" && options.load_format != files->format()) {
    fail(ErrorKind::usage, "--load-format {}: expected auto, {} or dummy for {}",
         options.load_format, files->format(), files->where());
  }
  std::unique_ptr<TensorSource> source = dummy ? nullptr : open_weights(*files, config);
  std::unique_ptr<Model> model =
      make_model(config, resolve_dtype(options, config, source.get()), *files);
  cut_for(*model, options);
  std::string warning = quantize(*model, options, source.get());
  if (dummy) source = make_dummy_source(dummy_tensors(model->spec()), options.load_seed);
  check_checkpoint(model->spec(), *source);
  return {std::move(files), std::move(config), std::move(source), std::move(model),
          std::move(warning)};
}

void check_plan(const ModelSpec& model, const ParallelSizes& sizes) {
  if (sizes.dp < 1 || sizes.tp < 1 || sizes.pp < 1) {
    fail(ErrorKind::usage, "-dp {} -tp {} -pp {}: each must be at least 1", sizes.dp, sizes.tp,
         sizes.pp);
  }
  if (sizes.tp > model.max_tensor_parallel()) {
    fail(ErrorKind::usage,
         "-tp {}: this model has {} virtual shards of attention heads, {} of the MLP and {} of the "
         "vocabulary, so -tp can be at most {}; use -pp or -dp for more ranks",
         sizes.tp, model.head_shards.count(), model.mlp_shards.count(), model.vocab_shards.count(),
         model.max_tensor_parallel());
  }
  const auto blocks = static_cast<int>(model.blocks.size());
  if (sizes.pp > blocks) {
    fail(ErrorKind::usage,
         "-pp {}: this model has {} blocks ({} layers, the embedding and the head), so -pp can be "
         "at most {}; use -tp or -dp for more ranks",
         sizes.pp, blocks, model.num_layers(), blocks);
  }
}

SpeculationLimits speculation_limits(const Options& options) {
  constexpr std::int64_t most_tokens = 256;
  constexpr std::int64_t longest_ngram = 64;
  if (options.num_speculative_tokens < 0 || options.num_speculative_tokens > most_tokens) {
    fail(ErrorKind::usage, "--num-speculative-tokens {}: expected a number from 0 (off) to {}",
         options.num_speculative_tokens, most_tokens);
  }
  if (options.prompt_lookup_max < 1 || options.prompt_lookup_max > longest_ngram) {
    fail(ErrorKind::usage, "--prompt-lookup-max {}: expected a number from 1 to {}",
         options.prompt_lookup_max, longest_ngram);
  }
  if (options.prompt_lookup_min < 1 || options.prompt_lookup_min > options.prompt_lookup_max) {
    fail(ErrorKind::usage,
         "--prompt-lookup-min {}: expected a number from 1 to --prompt-lookup-max, which is {}",
         options.prompt_lookup_min, options.prompt_lookup_max);
  }
  return {.max_drafts = options.num_speculative_tokens,
          .ngram_max = options.prompt_lookup_max,
          .ngram_min = options.prompt_lookup_min};
}

Replica::Replica(const Options& options, std::unique_ptr<Communicator> ranks, int local_ranks,
                 int local_rank, int shared_weights)
    : files_(open_model(options)),
      backend_(make_backend(options.device, options.isa, local_rank)),
      ranks_(std::move(ranks)),
      sizes_{.dp = 1, .tp = options.tensor_parallel_size, .pp = options.pipeline_parallel_size},
      limits_(memory_limits(options, spec())) {
  check_plan(spec(), sizes_);
  const SpeculationLimits speculation = speculation_limits(options);
  TRIREME_ASSERT(ranks_->size() == sizes_.replica());
  threads_ = std::make_unique<ThreadPool>(threads_per_rank(options, local_ranks));
  stage_ = std::make_unique<Stage>(
      StageContext{*backend_, *threads_, *ranks_, sizes_, placement_of(options, spec()),
                   options.offload_folder, std::max(sizes_.pp, options.num_chunks)},
      *files_.model, limits_);
  if (!backend_->uses_host_memory()) refuse_on_gpus(options);
  stage_->meter().loading();
  // What is too little before anything is loaded will not do after it.
  agree_on_kv_blocks(options, local_ranks);
  files_.model->prepare(*backend_, limits_.max_model_len);
  load_weights(options, shared_weights);
  stage_->disk_blocks().fill(*files_.source, *threads_, [this] { ranks_->heartbeat(); });
  kv_blocks_ = agree_on_kv_blocks(options, local_ranks);
  stage_->allocate_cache(kv_blocks_);
  stage_->meter().loaded(static_cast<std::uint64_t>(stage_->weight_bytes_per_step()),
                         static_cast<std::uint64_t>(stage_->multiply_adds_per_row()),
                         static_cast<std::uint64_t>(kv_blocks_));
  if (is_driver()) {
    driver_ = std::make_unique<Driver>(
        *ranks_, sizes_, *stage_,
        SchedulerLimits{.blocks = kv_blocks_,
                        .max_sequences = limits_.max_sequences,
                        .max_step_tokens = limits_.max_step_tokens,
                        .max_model_len = limits_.max_model_len,
                        .max_source_len = limits_.max_source_len,
                        .whole_sequences = spec().whole_sequences,
                        .micro_batches = std::max(sizes_.pp, options.num_chunks),
                        .speculation = speculation});
  }
}

Replica::~Replica() = default;

void Replica::refuse_on_gpus(const Options& options) const {
  if (!options.packed_cache.empty()) {
    fail(ErrorKind::usage,
         "--packed-cache: not with --device {}: a GPU takes a checkpoint as fast as it is read",
         options.device);
  }
  if (stage_->disk_blocks().count() > 0) {
    fail(ErrorKind::usage,
         "--device {}: all blocks must be in the GPUs' memory; leave disk out of --device-map and "
         "--max-memory, use more GPUs (-tp, -pp) or --quantization int8",
         options.device);
  }
}

void Replica::load_weights(const Options& options, int shared_memory) {
  ParameterStore& parameters = stage_->parameters();
  const auto heartbeat = [this] { ranks_->heartbeat(); };
  // A GPU's memory is no other process's.
  if (shared_memory >= 0 && backend_->uses_host_memory())
    shared_weights_ = std::make_unique<SharedOnce>(shared_memory);
  // What a replica has filled already is nearer than a file.
  const bool at_hand = shared_weights_ != nullptr && shared_weights_->is_ready();
  if (!options.packed_cache.empty() && !at_hand) {
    cache_ = std::make_unique<WeightCache>(options, parameters, *files_.source, *files_.texts,
                                           heartbeat);
    if (const std::byte* const mapped = cache_->map(*threads_)) {
      mapped_ = true;
      shared_weights_.reset();  // the page cache is what replicas share
      parameters.place(const_cast<std::byte*>(mapped));
      return;
    }
  }
  // From here on the parameters are only read, in every process.
  const std::span<const std::byte> arena = filled_arena(heartbeat);
  parameters.place(const_cast<std::byte*>(arena.data()));
  const bool filled_here = shared_weights_ == nullptr || shared_weights_->filled_here();
  if (cache_ != nullptr && filled_here) cache_->keep(arena);
}

std::span<const std::byte> Replica::filled_arena(const std::function<void()>& heartbeat) {
  ParameterStore& parameters = stage_->parameters();
  const auto fill = [&](std::span<std::byte> arena) {
    parameters.place(arena.data());
    load_parameters(parameters, *files_.source, *threads_, heartbeat);
  };
  if (shared_weights_ != nullptr) return shared_weights_->get(parameters.bytes(), fill, heartbeat);
  weights_ = backend_->allocate(parameters.bytes());
  fill({weights_.data(), weights_.size()});
  return {weights_.data(), weights_.size()};
}

void Replica::follow() { trireme::follow(*ranks_, sizes_, *stage_); }

Replica::Counters Replica::counters() const {
  return {.checkpoint_bytes_read = files_.source->bytes_read(),
          .weight_bytes = static_cast<std::int64_t>(stage_->parameters().bytes()),
          .kv_blocks = kv_blocks_,
          .blocks = stage_->blocks().size(),
          .steps = stage_->steps(),
          .rows = stage_->rows(),
          .multiply_adds = stage_->rows() * stage_->multiply_adds_per_row(),
          .shared_weights = shared_weights_ != nullptr && !shared_weights_->filled_here(),
          .mapped_weights = mapped_};
}

/// Bytes of this rank's GPU that the caches of its ranks may take. Kernels ask for their scratch
/// memory later, on every rank.
std::int64_t Replica::gpu_bytes_left(const Options& options, int ranks_per_gpu) const {
  const RankPoint point = point_of(ranks_->rank(), sizes_);
  const Range blocks =
      placement_of(options, spec()).stages[static_cast<std::size_t>(point.pp)].blocks;
  const std::int64_t to_come =
      gpu_bytes_to_come(spec(), tensor_shard(spec(), sizes_.tp, point.tp), blocks, limits_);
  const DeviceMemory memory = backend_->memory();
  return std::max<std::int64_t>(
      0, gpu_memory_left(memory.total, memory.free, options.gpu_memory_utilization) -
             to_come * ranks_per_gpu);
}

namespace {

int usable_gpus(const std::string& device) {
  return device.starts_with("cuda:") ? 1 : std::max(1, static_cast<int>(std::ssize(gpus())));
}

}  // namespace

/// The driver decides for all ranks, by the rank whose blocks are largest. Throws Error(resource)
/// when one sequence of the longest length would not fit: were it cut, the plan and the memory that
/// happens to be free would decide what comes out.
std::int64_t Replica::agree_on_kv_blocks(const Options& options, int local_ranks) {
  Sizes mine{stage_->kv_bytes_per_block(), mapped_ ? counters().weight_bytes : 0};
  if (!backend_->uses_host_memory()) {
    mine.gpu_left =
        gpu_bytes_left(options, ranks_per_gpu(local_ranks, usable_gpus(options.device)));
  }
  const std::vector<Message> messages =
      ranks_->gather(0, std::as_bytes(std::span<const Sizes>(&mine, 1)));
  std::int64_t blocks = 0;
  if (is_driver()) {
    std::vector<Sizes> sizes(messages.size());
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      std::memcpy(&sizes[i], messages[i].data(), sizeof(Sizes));
    }
    const CacheRequest request = cache_request(options, local_ranks, sizes);
    const std::string shortage = cache_shortage(request);
    if (!shortage.empty()) fail(ErrorKind::resource, "{}; {}", shortage, cache_advice(request));
    blocks = cache_blocks(request);
  }
  Message message(sizeof(blocks));
  std::memcpy(message.data(), &blocks, sizeof(blocks));
  ranks_->broadcast(0, message);
  std::memcpy(&blocks, message.data(), sizeof(blocks));
  return blocks;
}

/// Other replicas on this host may have taken their memory already, or not yet: they count in the
/// share of what is free, not in whether one sequence fits. Mapped weights look as if they were
/// free, since the system could read them again; they must stay. On GPUs every rank has looked at
/// its own; of those that share one the last to look has seen what all take.
CacheRequest Replica::cache_request(const Options& options, int local_ranks,
                                    std::span<const Sizes> sizes) const {
  CacheRequest request{.limits = limits_,
                       .asked_bytes = options.kv_cache_bytes,
                       .free_bytes = available_memory(),
                       .ranks_per_host = std::max(1, local_ranks)};
  if (!backend_->uses_host_memory()) {
    std::vector<GpuRank> rooms;
    for (const Sizes& rank : sizes) rooms.push_back({rank.gpu_left, rank.kv_block});
    return gpu_cache_request(limits_, options.kv_cache_bytes, rooms,
                             ranks_per_gpu(local_ranks, usable_gpus(options.device)));
  }
  Sizes all;
  Sizes largest;
  for (const Sizes& rank : sizes) {
    all = {all.kv_block + rank.kv_block, all.mapped + rank.mapped};
    largest = {std::max(largest.kv_block, rank.kv_block), std::max(largest.mapped, rank.mapped)};
  }
  const std::int64_t here = request.ranks_per_host;
  const bool one_host = here >= static_cast<std::int64_t>(sizes.size());
  request.block_bytes = std::max<std::int64_t>(1, largest.kv_block);
  request.host_block_bytes =
      std::max<std::int64_t>(1, one_host ? all.kv_block : here * largest.kv_block);
  request.free_bytes -= one_host ? all.mapped : here * largest.mapped;
  return request;
}

std::int64_t available_memory() {
  const std::int64_t available = host_memory().available;
  return available > 0 ? available : std::int64_t{1} << 32;  // no /proc: assume 4 GB
}

}  // namespace trireme
