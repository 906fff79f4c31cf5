#include "plan/cache.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>

namespace trireme {

namespace {

/// The largest number up to `tokens` that is a power of two or has two digits before its zeros.
std::int64_t round_for_typing(std::int64_t tokens) {
  if (tokens < 1) return 0;
  std::int64_t unit = 1;
  while (tokens / unit >= 100) unit *= 10;
  const auto power = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(tokens)));
  return std::max(tokens / unit * unit, power);
}

std::string bytes_for_typing(std::int64_t bytes) {
  constexpr std::int64_t kibi = std::int64_t{1} << 10;
  constexpr std::int64_t mebi = std::int64_t{1} << 20;
  constexpr std::int64_t gibi = std::int64_t{1} << 30;
  if (bytes < mebi) return fmt::format("{}K", ceil_div(bytes, kibi));
  if (bytes < 10 * gibi) return fmt::format("{}M", ceil_div(bytes, mebi));
  return fmt::format("{}G", ceil_div(bytes, gibi));
}

}  // namespace

std::int64_t cache_blocks(const CacheRequest& request) {
  const std::int64_t wanted = kv_blocks_wanted(request.limits);
  if (request.asked_bytes > 0) return std::min(wanted, request.asked_bytes / request.block_bytes);
  // Half of what is free leaves room for the page cache that the checkpoint streams through; one
  // sequence may take more.
  const std::int64_t free = std::max<std::int64_t>(0, request.free_bytes);
  const std::int64_t share =
      free / (request.takes_all ? 1 : 2) / request.ranks_per_host / request.block_bytes;
  const std::int64_t room = std::max<std::int64_t>(0, free - request.reserve_bytes);
  const std::int64_t least =
      std::min(kv_blocks_of_one_sequence(request.limits), room / request.host_block_bytes);
  return std::min(wanted, std::max(share, least));
}

std::int64_t gpu_memory_left(std::int64_t total, std::int64_t free, double utilization) {
  const auto budget = static_cast<std::int64_t>(static_cast<double>(total) * utilization);
  return std::max<std::int64_t>(0, budget - (total - free));
}

std::int64_t length_that_fits(const CacheRequest& request) {
  return round_for_typing(
      std::min(cache_blocks(request) * kv_block_tokens, request.limits.max_model_len));
}

std::int64_t bytes_of_one_sequence(const CacheRequest& request) {
  constexpr std::int64_t most = std::int64_t{1} << 62;  // a config.json may say anything
  const std::int64_t blocks = kv_blocks_of_one_sequence(request.limits);
  return blocks > most / request.block_bytes ? most : blocks * request.block_bytes;
}

std::string memory_for_one_sequence(const CacheRequest& request) {
  return bytes_for_typing(bytes_of_one_sequence(request));
}

std::string cache_shortage(const CacheRequest& request) {
  const std::int64_t blocks = cache_blocks(request);
  if (blocks >= kv_blocks_of_one_sequence(request.limits)) return "";
  return fmt::format(
      "{} a KV cache of {} tokens, but one sequence of {} tokens (--max-model-len) must fit, which "
      "takes --kv-cache-memory {} on each rank",
      request.asked_bytes > 0 ? "--kv-cache-memory allows" : "the free memory allows",
      blocks * kv_block_tokens, request.limits.max_model_len, memory_for_one_sequence(request));
}

std::string cache_advice(const CacheRequest& request) {
  const std::int64_t length = length_that_fits(request);
  return length > 0 ? fmt::format("--max-model-len {} would fit", length)
                    : "use -tp or -pp, so that each rank holds less";
}

}  // namespace trireme
