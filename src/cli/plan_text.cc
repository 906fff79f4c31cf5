#include "cli/plan_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "cli/sizes.h"

namespace trireme {

namespace {

/// What a rank's bar is made of.
struct Part {
  const char* name;
  Colour colour;
  const char* block;  ///< in UTF-8
  char plain;
  std::int64_t RankShare::*bytes;
};

constexpr std::array parts{
    Part{"weights", Colour::blue, "\u2588", '#', &RankShare::weight_bytes},
    Part{"KV cache", Colour::green, "\u2593", '=', &RankShare::kv_cache_bytes},
    Part{"activations", Colour::yellow, "\u2591", '.', &RankShare::activation_bytes},
    Part{"program", Colour::dim, "\u2592", ':', &RankShare::program_bytes},
};

std::string repeated(std::string_view text, std::int64_t times) {
  std::string result;
  for (std::int64_t i = 0; i < times; ++i) result += text;
  return result;
}

std::string cells(const Part& part, std::int64_t count, const Terminal& terminal) {
  const std::string glyph = terminal.utf8 ? part.block : std::string(1, part.plain);
  return paint(terminal, part.colour, repeated(glyph, count));
}

/// A bar as long as the rank's bytes are to `most`. Each part begins and ends where the sum so far
/// rounds to, so that the bar's length is right whatever its parts.
std::string bar(const RankShare& rank, std::int64_t most, std::int64_t width,
                const Terminal& terminal) {
  std::string text;
  double sum = 0;
  std::int64_t drawn = 0;
  for (const Part& part : parts) {
    sum += static_cast<double>(rank.*part.bytes);
    const auto end = static_cast<std::int64_t>(
        sum / static_cast<double>(std::max<std::int64_t>(1, most)) * static_cast<double>(width) +
        0.5);
    text += cells(part, end - drawn, terminal);
    drawn = end;
  }
  return text;
}

/// "0-3", "5", "none".
std::string span_text(PlanRange range) {
  if (range.size() <= 0) return "none";
  if (range.size() == 1) return fmt::format("{}", range.begin);
  return fmt::format("{}-{}", range.begin, range.end - 1);
}

/// The parts of a rank's blocks; of an encoder-decoder model its layers are counted apart.
std::string blocks_text(const RankShare& rank, std::int64_t encoder_layers) {
  std::string text = rank.embedding ? "embed" : "";
  const auto add = [&](const std::string& more) { text += (text.empty() ? "" : "+") + more; };
  const PlanRange encoder{rank.layers.begin, std::min(rank.layers.end, encoder_layers)};
  const PlanRange rest{std::max(rank.layers.begin - encoder_layers, std::int64_t{0}),
                       rank.layers.end - encoder_layers};
  if (encoder.size() > 0) add("enc " + span_text(encoder));
  if (rest.size() > 0) add((encoder_layers > 0 ? "dec " : "") + span_text(rest));
  if (rank.head) add("head");
  return text;
}

/// A table with columns as wide as their widest cell; numbers to the right.
std::string table(const std::vector<std::vector<std::string>>& rows, std::size_t left_columns,
                  const Terminal& terminal) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += i < left_columns ? fmt::format("{:<{}}  ", row[i], widths[i])
                               : fmt::format("{:>{}}  ", row[i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += (&row == &rows.front() ? paint(terminal, Colour::dim, line) : line) + "\n";
  }
  return text;
}

std::string hosts_text(const PlanReport& report) {
  std::string text;
  if (report.ranks_per_host < static_cast<int>(report.ranks.size())) {
    text = fmt::format(", {} to a host", report.ranks_per_host);
  }
  if (report.gpus_per_host == 0) return text;
  return text + fmt::format(", on {} GPU{} of {}{}", report.gpus_per_host,
                            report.gpus_per_host == 1 ? "" : "s",
                            format_bytes(report.gpu_memory_bytes),
                            text.empty() ? "" : " in each host");
}

std::string heading(const PlanReport& report, const Terminal& terminal) {
  const auto plural = [](int n, const char* word) {
    return fmt::format("{} {}{}", n, word, n == 1 ? "" : "s");
  };
  return fmt::format(
      "{}: {}, {}, {} parameters, {} in the checkpoint\n"
      "{} x {} x {} = {}{}\n",
      paint(terminal, Colour::bold, report.directory), report.architecture,
      precision_text(report.dtype, report.quantization),
      format_count(static_cast<double>(report.parameters)), format_bytes(report.checkpoint_bytes),
      plural(report.data_parallel_size, "replica"),
      plural(report.pipeline_parallel_size, "pipeline stage"),
      plural(report.tensor_parallel_size, "tensor shard"),
      plural(static_cast<int>(report.ranks.size()), "rank"), hosts_text(report));
}

using Row = std::vector<std::string>;
constexpr std::size_t place_columns = 9;  // of which the numbers are left-aligned

Row place_cells(const RankShare& rank, std::int64_t encoder_layers) {
  const bool layers = rank.layers.size() > 0;
  const auto of_layers = [&](PlanRange range) { return layers ? span_text(range) : "-"; };
  return {fmt::format("{}", rank.rank),
          fmt::format("{}", rank.replica),
          fmt::format("{}{}{}", rank.stage, rank.device.empty() ? "" : " on ", rank.device),
          fmt::format("{}", rank.tensor_rank),
          blocks_text(rank, encoder_layers),
          of_layers(rank.heads),
          of_layers(rank.kv_heads),
          of_layers(rank.mlp),
          rank.embedding || rank.head ? span_text(rank.vocab) : "-"};
}

Row byte_cells(const RankShare& rank) {
  const std::string disk =
      rank.disk_bytes > 0 ? fmt::format(" (+ {} on disk)", format_bytes(rank.disk_bytes)) : "";
  return {format_bytes(rank.weight_bytes) + disk, format_bytes(rank.kv_cache_bytes),
          format_bytes(rank.activation_bytes), format_bytes(rank.program_bytes),
          format_bytes(rank.total())};
}

/// The ranks worth listing: replicas are alike, so of many only the first is shown.
std::span<const RankShare> listed(const PlanReport& report) {
  constexpr std::size_t most_listed = 16;
  const std::size_t replica =
      report.ranks.size() / static_cast<std::size_t>(report.data_parallel_size);
  const std::span<const RankShare> all(report.ranks);
  return all.size() <= most_listed ? all : all.first(replica);
}

/// Who holds what in how many bytes: in one table, or in two where the terminal is narrow.
std::string rank_table(const PlanReport& report, const Terminal& terminal) {
  const Row places{"rank",  "dp",       "pp",          "tp",        "layers",
                   "heads", "KV heads", "MLP columns", "vocabulary"};
  const Row bytes{"weights", "KV cache", "activations", "program", "total"};
  std::vector<Row> wide{places}, left{places}, right{{"rank"}};
  wide[0].insert(wide[0].end(), bytes.begin(), bytes.end());
  right[0].insert(right[0].end(), bytes.begin(), bytes.end());
  for (const RankShare& rank : listed(report)) {
    const Row cells = byte_cells(rank);
    left.push_back(place_cells(rank, report.encoder_layers));
    right.push_back({fmt::format("{}", rank.rank)});
    wide.push_back(left.back());
    wide.back().insert(wide.back().end(), cells.begin(), cells.end());
    right.back().insert(right.back().end(), cells.begin(), cells.end());
  }
  const Terminal plain{.width = terminal.width};
  const std::string one = table(wide, place_columns, plain);
  const bool fits = one.find('\n') <= static_cast<std::size_t>(terminal.width);
  std::string text = fits ? table(wide, place_columns, terminal)
                          : table(left, place_columns, terminal) + "\n" + table(right, 1, terminal);
  if (listed(report).size() < report.ranks.size()) {
    const int more = report.data_parallel_size - 1;
    text += fmt::format("and {} more replica{} like this one\n", more, more == 1 ? "" : "s");
  }
  return text;
}

std::string bars(const PlanReport& report, const Terminal& terminal) {
  std::int64_t most = 1;
  for (const RankShare& rank : report.ranks) most = std::max(most, rank.total());
  constexpr std::int64_t label = 22;  // "rank 123  " and " 123.4 GiB"
  const std::int64_t width = std::max<std::int64_t>(10, terminal.width - label);
  std::string text;
  for (const RankShare& rank : listed(report)) {
    text += fmt::format("rank {:<4} {} {}\n", rank.rank, bar(rank, most, width, terminal),
                        format_bytes(rank.total()));
  }
  std::string legend;
  for (const Part& part : parts) {
    legend +=
        fmt::format("{}{} {}", legend.empty() ? "" : "   ", cells(part, 1, terminal), part.name);
  }
  return text + fmt::format("{:>10}{}\n", "", legend);
}

std::string shards_text(const PlanReport& report) {
  std::string text = "Virtual shards: where the model may be cut, whatever the plan\n";
  for (const VirtualShardReport& shards : report.virtual_shards) {
    text += fmt::format("  {:<16} {} shards of {} over {}", shards.dimension, shards.count,
                        shards.width, shards.size);
    constexpr std::int64_t most_listed = 12;
    for (std::int64_t i = 1; i < shards.count && shards.count <= most_listed; ++i) {
      text += fmt::format("{}{}", i == 1 ? ": cuts at " : " ", i * shards.width);
    }
    text += "\n";
  }
  return text + fmt::format("  so at most -tp {} -pp {}\n", report.max_tensor_parallel,
                            report.max_pipeline_parallel);
}

std::string speed_text(const PlanReport& report) {
  if (report.decode_tokens_per_second > 0) {
    return fmt::format(
        "Speed      at most {} tokens/s for one sequence: a bound and no prediction (weights read "
        "at {}/s and nothing else)\n",
        format_count(report.decode_tokens_per_second),
        format_bytes(static_cast<std::int64_t>(report.memory_bandwidth)));
  }
  if (!report.no_speed.empty()) return fmt::format("Speed      {}\n", report.no_speed);
  const PlanSpeed& speed = report.speed;
  if (speed.prefill == 0) return "";
  const bool gpus = report.gpus_per_host > 0;
  const std::string sharing =
      gpus && report.ranks.size() > 1
          ? "           as if the GPUs shared the work evenly; what they send each other is not "
            "counted\n"
          : "";
  return fmt::format(
      "Speed      about {} tokens/s of prompts; {} tokens/s generated by one sequence, {} by {} at "
      "once ({} tokens before each)\n"
      "           predicted: {} of {} layers, with made-up weights, were run on {} as it is "
      "now\n{}",
      format_count(speed.prefill), format_count(speed.decode), format_count(speed.batch),
      speed.sequences, speed.context, speed.layers, report.num_layers,
      gpus ? "one GPU" : "this machine", sharing);
}

/// Nothing is kept in a cache from one step to the next where whole texts go through the model.
bool keeps_a_cache(const PlanReport& report) {
  return report.kind == ModelKind::decoder || report.kind == ModelKind::encoder_decoder;
}

std::string cache_text(const PlanReport& report) {
  if (!keeps_a_cache(report)) {
    return fmt::format("KV cache   none: whole texts of at most {} tokens, at most {} at once\n",
                       report.max_model_len, report.max_sequences);
  }
  // An encoder-decoder model caches a source and an answer.
  const std::int64_t each =
      report.max_model_len * (report.kind == ModelKind::encoder_decoder ? 2 : 1);
  const double sequences = static_cast<double>(report.kv_cache_tokens) /
                           static_cast<double>(std::max<std::int64_t>(1, each));
  return fmt::format(
      "KV cache   {} tokens per replica: {:.1f} sequences of {}{}, of at most {} at "
      "once\n",
      report.kv_cache_tokens, sequences,
      report.kind == ModelKind::encoder_decoder
          ? fmt::format("{} and texts of ", report.max_model_len)
          : "",
      report.max_model_len, report.max_sequences);
}

/// What the part of a GPU's memory is that may be filled.
std::string gpu_memory_text(const PlanReport& report) {
  const double part = static_cast<double>(report.available_bytes) /
                      static_cast<double>(std::max<std::int64_t>(1, report.gpu_memory_bytes));
  return fmt::format("{}Memory     {} of {} on the fullest GPU ({:.0f} % of {})\n",
                     cache_text(report), format_bytes(report.host_bytes),
                     format_bytes(report.available_bytes), 100 * part,
                     format_bytes(report.gpu_memory_bytes));
}

std::string memory_text(const PlanReport& report) {
  if (report.gpus_per_host > 0) return gpu_memory_text(report) + speed_text(report);
  const std::string text =
      fmt::format("{}Memory     {} of {} available on {}{}\n", cache_text(report),
                  format_bytes(report.host_bytes), format_bytes(report.available_bytes),
                  report.ranks_per_host < static_cast<int>(report.ranks.size()) ? "the fullest host"
                                                                                : "this host",
                  report.data_parallel_size > 1 ? " (replicas share one copy of the weights)" : "");
  return text + speed_text(report);
}

using Json = nlohmann::ordered_json;

/// Null where nothing was predicted.
Json speed_json(const PlanReport& report) {
  const PlanSpeed& speed = report.speed;
  if (speed.prefill == 0) return nullptr;
  return {{"prefill_tokens_per_s", speed.prefill}, {"decode_tokens_per_s", speed.decode},
          {"sequences", speed.sequences},          {"batch_decode_tokens_per_s", speed.batch},
          {"context_tokens", speed.context},       {"layers_run", speed.layers}};
}

const char* kind_key(ModelKind kind) {
  constexpr const char* keys[] = {"decoder",    "encoder_decoder", "sentence",
                                  "classifier", "masked_lm",       "features"};
  return keys[static_cast<std::size_t>(kind)];
}

Json range_json(PlanRange range) { return Json::array({range.begin, range.end}); }

Json rank_json(const RankShare& rank) {
  return {{"rank", rank.rank},
          {"data_parallel_rank", rank.replica},
          {"pipeline_parallel_rank", rank.stage},
          {"tensor_parallel_rank", rank.tensor_rank},
          {"blocks", range_json(rank.blocks)},
          {"layers", range_json(rank.layers)},
          {"embedding", rank.embedding},
          {"head", rank.head},
          {"attention_heads", range_json(rank.heads)},
          {"key_value_heads", range_json(rank.kv_heads)},
          {"mlp_columns", range_json(rank.mlp)},
          {"vocabulary_rows", range_json(rank.vocab)},
          {"device", rank.device},
          {"disk_blocks", range_json(rank.disk_blocks)},
          {"disk_bytes", rank.disk_bytes},
          {"weight_bytes", rank.weight_bytes},
          {"kv_cache_bytes", rank.kv_cache_bytes},
          {"activation_bytes", rank.activation_bytes},
          {"program_bytes", rank.program_bytes},
          {"total_bytes", rank.total()}};
}

Json shards_json(const PlanReport& report) {
  Json list = Json::array();
  for (const VirtualShardReport& shards : report.virtual_shards) {
    Json boundaries = Json::array();
    for (std::int64_t i = 0; i < shards.count; ++i) boundaries.push_back(i * shards.width);
    boundaries.push_back(shards.size);
    list.push_back({{"dimension", shards.dimension},
                    {"size", shards.size},
                    {"width", shards.width},
                    {"count", shards.count},
                    {"boundaries", std::move(boundaries)}});
  }
  return list;
}

}  // namespace

std::string plan_picture(const PlanReport& report, const Terminal& terminal) {
  return heading(report, terminal) + "\n" + rank_table(report, terminal) + "\n" +
         bars(report, terminal) + "\n" + memory_text(report) + "\n" + shards_text(report);
}

std::string plan_json(const PlanReport& report) {
  Json ranks = Json::array();
  for (const RankShare& rank : report.ranks) ranks.push_back(rank_json(rank));
  Json suggestions = Json::array();
  for (const PlanSuggestion& s : report.suggestions) {
    suggestions.push_back(
        {{"flags", s.flags}, {"consequence", s.consequence}, {"host_bytes", s.host_bytes}});
  }
  std::vector<std::string> warnings = report.warnings;
  warnings.insert(warnings.end(), report.generation_warnings.begin(),
                  report.generation_warnings.end());
  const Json json = {{"model", report.directory},
                     {"architecture", report.architecture},
                     {"dtype", report.dtype},
                     {"quantization", report.quantization},
                     {"parameters", report.parameters},
                     {"checkpoint_bytes", report.checkpoint_bytes},
                     {"kind", kind_key(report.kind)},
                     {"num_layers", report.num_layers},
                     {"encoder_layers", report.encoder_layers},
                     {"max_tensor_parallel_size", report.max_tensor_parallel},
                     {"max_pipeline_parallel_size", report.max_pipeline_parallel},
                     {"data_parallel_size", report.data_parallel_size},
                     {"tensor_parallel_size", report.tensor_parallel_size},
                     {"pipeline_parallel_size", report.pipeline_parallel_size},
                     {"max_model_len", report.max_model_len},
                     {"max_num_seqs", report.max_sequences},
                     {"kv_cache_tokens", report.kv_cache_tokens},
                     {"ranks_per_host", report.ranks_per_host},
                     {"gpus_per_host", report.gpus_per_host},
                     {"gpu_memory_bytes", report.gpu_memory_bytes},
                     {"available_bytes", report.available_bytes},
                     {"host_bytes", report.host_bytes},
                     {"fits", report.fits},
                     {"warnings", warnings},
                     {"shortage", report.shortage},
                     {"suggestions", std::move(suggestions)},
                     {"predicted_speed", speed_json(report)},
                     {"memory_bandwidth_bytes_per_s", report.memory_bandwidth},
                     {"decode_tokens_per_s_upper_bound", report.decode_tokens_per_second},
                     {"virtual_shards", shards_json(report)},
                     {"ranks", std::move(ranks)}};
  constexpr int indent = 2;
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string shortage_text(const PlanReport& report) {
  std::string text = "this plan does not fit: " + report.shortage;
  if (report.host_bytes > report.available_bytes) {
    text = fmt::format("this plan does not fit in memory: a {} needs {} and has {} available",
                       report.gpus_per_host > 0 ? "GPU" : "host", format_bytes(report.host_bytes),
                       format_bytes(report.available_bytes));
  }
  if (report.suggestions.empty()) {
    return text + "; no plan near it fits either: use a smaller model or a larger machine";
  }
  text += ". What would fit:";
  for (const PlanSuggestion& s : report.suggestions) {
    text += fmt::format("\n  {:<32} {} ({})", s.flags, format_bytes(s.host_bytes), s.consequence);
  }
  return text;
}

}  // namespace trireme
