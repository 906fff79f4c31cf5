#include "api/agreement.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "core/bytes.h"
#include "core/error.h"
#include "core/hash.h"
#include "kernels/cuda_plugin.h"
#include "kernels/registry.h"
#include "models/hf_config.h"
#include "models/shapes.h"
#include "plan/host.h"
#include "trireme/engine.h"
#include "weights/model_files.h"

namespace trireme {

namespace {

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "an unknown host";
}

std::vector<std::string> flags_of(const Options& o) {
  const auto flag = [](const char* name, const auto& value) {
    return fmt::format("{} {}", name, value);
  };
  return {flag("-dp", o.data_parallel_size),
          flag("-tp", o.tensor_parallel_size),
          flag("-pp", o.pipeline_parallel_size),
          flag("--device-map", o.device_map),
          flag("split points", fmt::format("{}", fmt::join(o.split_points, " "))),
          flag("--device", o.device),
          flag("--dtype", o.dtype),
          flag("--quantization", o.quantization),
          flag("--load-format", o.load_format),
          flag("--seed", o.load_seed),
          flag("--max-model-len", o.max_model_len),
          flag("--max-num-seqs", o.max_sequences),
          flag("--max-num-batched-tokens", o.max_step_tokens),
          flag("--num-speculative-tokens", o.num_speculative_tokens),
          flag("--prompt-lookup-max", o.prompt_lookup_max),
          flag("--prompt-lookup-min", o.prompt_lookup_min)};
}

void find_model_of(const Options& options, Identity& identity) {
  identity.model = options.model;
  if (options.model.starts_with(shape_prefix)) return;
  const auto files = open_model_files(find_model(options.model, options.revision));
  HfConfig::read(*files, "config.json");  // is it one?
  identity.model = files->where("config.json");
  identity.config = fmt::format("{:016x}", fnv1a(files->require("config.json")));
}

/// "rank 1 on beta".
std::string name_of(const std::vector<Identity>& ranks, std::size_t rank) {
  return fmt::format("rank {} on {}", rank, ranks[rank].host);
}

/// The best instruction set that all hosts have.
std::string best_of_all(const std::vector<Identity>& ranks) {
  std::string best = "reference";
  for (const std::string& isa : ranks[0].isas) {
    const bool everywhere = std::ranges::all_of(
        ranks, [&](const Identity& rank) { return std::ranges::count(rank.isas, isa) > 0; });
    if (everywhere) best = isa;
  }
  return best;
}

std::optional<Failure> failure_of_one(const std::vector<Identity>& ranks) {
  const auto failed =
      std::ranges::find_if(ranks, [](const Identity& rank) { return rank.failure.has_value(); });
  if (failed == ranks.end()) return std::nullopt;
  const Failure& failure = *failed->failure;
  const bool everywhere = std::ranges::all_of(ranks, [&](const Identity& rank) {
    return rank.failure.has_value() && rank.failure->message == failure.message;
  });
  if (everywhere) return failure;
  const auto rank = static_cast<std::size_t>(failed - ranks.begin());
  return Failure{failure.kind, fmt::format("{}: {}", name_of(ranks, rank), failure.message)};
}

/// How `rank` differs from rank 0 in anything but the instruction set.
std::optional<Failure> difference(const std::vector<Identity>& ranks, std::size_t rank) {
  const Identity& first = ranks[0];
  const Identity& other = ranks[rank];
  const auto differ = [&](ErrorKind kind, std::string_view what, std::string_view mine,
                          std::string_view theirs, std::string_view advice) {
    return Failure{kind, fmt::format("{} {} {}, {} {}; {}", name_of(ranks, 0), what, mine,
                                     name_of(ranks, rank), theirs, advice)};
  };
  if (first.version != other.version) {
    return differ(ErrorKind::input, "runs trireme", first.version, other.version,
                  "install the same version on every host");
  }
  for (std::size_t i = 0; i < std::min(first.flags.size(), other.flags.size()); ++i) {
    if (first.flags[i] == other.flags[i]) continue;
    return differ(ErrorKind::usage, "has", first.flags[i], other.flags[i],
                  "start all ranks with the same flags");
  }
  if (first.config != other.config) {
    const auto file = [](const Identity& r) {
      return fmt::format("{} (hash {})", r.model, r.config);
    };
    return differ(ErrorKind::input, "reads", file(first), file(other),
                  "give every host the same model");
  }
  return std::nullopt;
}

/// Two ranks that would compute with different instruction sets.
std::optional<Failure> unlike_isas(const std::vector<Identity>& ranks, const std::string& free) {
  const auto of = [&](std::size_t rank) {
    return ranks[rank].isa.empty() ? free : ranks[rank].isa;
  };
  const auto why = [&](std::size_t rank) { return ranks[rank].isa.empty() ? "chosen" : "given"; };
  for (std::size_t rank = 1; rank < ranks.size(); ++rank) {
    if (of(rank) == of(0)) continue;
    return Failure{
        ErrorKind::usage,
        fmt::format("{} computes with {} ({}), {} with {} ({}), but all ranks need one instruction "
                    "set for the same bytes; give all of them --isa NAME or TRIREME_ISA (with Open "
                    "MPI: mpirun -x TRIREME_ISA=NAME). All have {}",
                    name_of(ranks, 0), of(0), why(0), name_of(ranks, rank), of(rank), why(rank),
                    best_of_all(ranks))};
  }
  return std::nullopt;
}

}  // namespace

Identity own_identity(const Options& options, int local_ranks) {
  Identity identity{.host = host_name(),
                    .version = std::string(version()),
                    .flags = flags_of(options),
                    .isas = worthwhile_backends(),
                    .local_ranks = local_ranks,
                    .memory = host_memory().available};
  try {
    identity.isa = asked_backend(options.isa);
    find_model_of(options, identity);
    // The bits of bfloat16 and float16 are those of one kind of GPU.
    if (is_gpu(options.device)) {
      identity.flags.push_back("GPUs: " + arithmetic_of(options.device, options.isa));
    }
  } catch (const Error& error) {
    identity.failure = {error.kind(), error.what()};
  }
  return identity;
}

Message encode(const Identity& identity) {
  ByteWriter out;
  for (const std::string* text :
       {&identity.host, &identity.version, &identity.model, &identity.config, &identity.isa}) {
    out.string(*text);
  }
  for (const auto* list : {&identity.flags, &identity.isas}) {
    out.value<std::uint64_t>(list->size());
    for (const std::string& text : *list) out.string(text);
  }
  out.value(identity.local_ranks);
  out.value(identity.memory);
  out.value(identity.failure.has_value());
  if (identity.failure) {
    out.value(identity.failure->kind);
    out.string(identity.failure->message);
  }
  return out.take();
}

Identity decode_identity(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  Identity identity;
  for (std::string* text :
       {&identity.host, &identity.version, &identity.model, &identity.config, &identity.isa}) {
    *text = in.string();
  }
  for (auto* list : {&identity.flags, &identity.isas}) {
    for (auto count = in.value<std::uint64_t>(); count > 0; --count) list->push_back(in.string());
  }
  identity.local_ranks = in.value<int>();
  identity.memory = in.value<std::int64_t>();
  if (!in.value<bool>()) return identity;
  const auto kind = in.value<ErrorKind>();
  identity.failure = {kind, in.string()};
  return identity;
}

Agreement agree(const std::vector<Identity>& ranks) {
  Agreement agreement;
  agreement.failure = failure_of_one(ranks);
  for (std::size_t rank = 1; rank < ranks.size() && !agreement.failure; ++rank) {
    agreement.failure = difference(ranks, rank);
  }
  const std::string best = best_of_all(ranks);
  if (!agreement.failure) agreement.failure = unlike_isas(ranks, best);
  agreement.isa = ranks[0].isa.empty() ? best : ranks[0].isa;
  agreement.hosts = {ranks[0].local_ranks, ranks[0].memory};
  for (const Identity& rank : ranks) {
    agreement.hosts.ranks_per_host = std::max(agreement.hosts.ranks_per_host, rank.local_ranks);
    agreement.hosts.memory = std::min(agreement.hosts.memory, rank.memory);
  }
  return agreement;
}

}  // namespace trireme
