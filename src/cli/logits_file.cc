#include "cli/logits_file.h"

#include <fmt/core.h>

#include "core/error.h"
#include "weights/safetensors_writer.h"

namespace trireme {

namespace {

template <typename T>
std::string_view bytes_of(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

}  // namespace

LogitsFile::LogitsFile(const std::string& path) : path_(path), output_(path) {
  if (!output_.regular()) {
    fail(ErrorKind::usage,
         "--logits {}: is no regular file; its parts are not written in order, so name a file",
         path);
  }
}

void LogitsFile::expect(std::uint64_t row, std::int64_t tokens) { rows_[row].tokens = tokens; }

void LogitsFile::begin(std::int64_t vocab_size) {
  vocab_size_ = vocab_size;
  std::vector<TensorShape> tensors;
  for (const auto& [index, row] : rows_) {
    tensors.push_back({fmt::format("ids.{}", index), DType::i64, {row.tokens}});
    tensors.push_back({fmt::format("logits.{}", index), DType::f32, {row.tokens, vocab_size}});
  }
  const SafetensorsLayout layout = lay_out_safetensors(path_, tensors);
  auto begin = layout.begins.begin();
  for (auto& [index, row] : rows_) {
    row.ids = *begin++;
    row.logits = *begin++;
  }
  output_.reserve(layout.bytes);
  output_.write_at(0, layout.start);
}

const LogitsFile::Row* LogitsFile::find(std::uint64_t row) const {
  const auto found = rows_.find(row);
  return found == rows_.end() ? nullptr : &found->second;
}

void LogitsFile::write_ids(std::uint64_t row, std::span<const std::int32_t> ids) {
  const Row* const place = find(row);
  if (place == nullptr) return;
  TRIREME_ASSERT(static_cast<std::int64_t>(ids.size()) == place->tokens);
  const std::vector<std::int64_t> wide(ids.begin(), ids.end());
  output_.write_at(place->ids, bytes_of(std::span<const std::int64_t>(wide)));
}

void LogitsFile::write_logits(std::uint64_t row, std::int64_t first,
                              std::span<const float> logits) {
  const Row* const place = find(row);
  if (place == nullptr) return;
  const auto begin = static_cast<std::uint64_t>(first * vocab_size_);
  TRIREME_ASSERT(first >= 0 &&
                 begin + logits.size() <= static_cast<std::uint64_t>(place->tokens * vocab_size_));
  output_.write_at(place->logits + begin * sizeof(float), bytes_of(logits));
}

}  // namespace trireme
