// What stands behind an Engine, for the files of src/api that its calls are spread over.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "api/answers.h"
#include "comm/topology.h"
#include "core/bytes.h"
#include "tasks/choose.h"
#include "tasks/generate.h"
#include "tasks/model_rows.h"
#include "tasks/readings.h"
#include "tasks/score.h"
#include "tasks/text_reader.h"
#include "trireme/engine.h"

namespace trireme {

struct Engine::Impl {
  Impl(Ranks agreed, std::int64_t now);
  void share_start();

  /// Answers rows [0, count), of which replica r takes each r-th; the results meet on rank 0.
  /// `submit(row)` starts one, `step()` returns pairs of rows and answers.
  template <typename Answer, typename Submit, typename Step>
  std::vector<Answer> answer_all(const char* call, std::size_t count, const Submit& submit,
                                 const Step& step);
  /// answer_all() for what a reader reads.
  template <typename Answer, typename Make>
  std::vector<Answer> read_all(const char* call, std::span<const Request> requests, ModelKind kind,
                               TextReader& (Impl::*reader)(), const Make& make);

  int driver_of(int index) const { return rank_of({index, 0, 0}, sizes); }

  /// Throws Error(usage) for what answer_all cannot be mixed with.
  void check_unused(const char* call) const;
  /// Throws Error(usage) where the model is of another kind.
  void check_kind(const char* call, ModelKind wanted) const;
  void check_generates(const char* call = "generate") const;
  std::int64_t unfinished() const;
  Generator& generating();
  Scorer& scoring();
  Chooser& choosing();
  TextReader& embedding() { return reading(embeddings, {.call = "embed", .truncate = true}); }
  TextReader& classifying() { return reading(classifications, {.call = "classify"}); }
  TextReader& filling() { return reading(mask_fills, {.call = "fill_mask", .masks_only = true}); }
  TextReader& reading(std::optional<TextReader>& reader, const TextReader::Settings& settings);
  const Labels& labels();
  /// Reads what requests need.
  void prepare();
  void step();

  ParallelSizes sizes;
  std::unique_ptr<Communicator> world;
  int replica_index = 0;
  bool whole_run = true;                      ///< world spans all replicas
  std::shared_ptr<const int> weights_memory;  ///< must outlive the replica that maps it
  std::unique_ptr<Replica> replica;
  std::int64_t start = 0;
  std::optional<Prompts> prompts;
  std::optional<Sequences> sequences;  ///< drivers only
  std::optional<Generator> generator;  ///< these when first asked
  std::optional<Scorer> scorer;
  std::optional<Chooser> chooser;
  std::optional<TextReader> embeddings;
  std::optional<TextReader> classifications;
  std::optional<TextReader> mask_fills;
  std::optional<ModelRows> rows;
  std::optional<Labels> label_names;
};

/// What kind of model a spec describes.
ModelKind kind_of(const ModelSpec& model);

template <typename Answer, typename Submit, typename Step>
std::vector<Answer> Engine::Impl::answer_all(const char* call, std::size_t count,
                                             const Submit& submit, const Step& step) {
  constexpr std::size_t rows_ahead = 256;  // kept ready for a driver: enough for any batch
  check_unused(call);
  std::vector<Answer> answers(count);
  ByteWriter mine;
  const auto stride = static_cast<std::size_t>(sizes.dp);
  std::size_t next = static_cast<std::size_t>(replica_index);
  std::size_t unfinished = 0;
  while (replica->is_driver() && (next < count || unfinished > 0)) {
    for (; next < count && unfinished < rows_ahead; next += stride, ++unfinished) submit(next);
    for (auto& [row, answer] : step()) {
      mine.value<std::uint64_t>(row);
      mine.array(encode(answer));
      --unfinished;
    }
  }
  if (replica->is_driver()) {
    replica->stop();
  } else {
    replica->follow();
  }
  const std::vector<Message> parts = world->gather(0, mine.take());
  if (world->rank() != 0) return {};
  for (const Message& part : parts) {
    for (ByteReader in(part); !in.done();) {
      const auto row = in.value<std::uint64_t>();
      decode(in.array<std::byte>(), answers.at(static_cast<std::size_t>(row)));
    }
  }
  return answers;
}

template <typename Answer, typename Make>
std::vector<Answer> Engine::Impl::read_all(const char* call, std::span<const Request> requests,
                                           ModelKind kind, TextReader& (Impl::*reader)(),
                                           const Make& make) {
  check_kind(call, kind);
  return answer_all<Answer>(
      call, requests.size(), [&](std::size_t row) { (this->*reader)().submit(row, requests[row]); },
      [&] {
        step();
        std::vector<std::pair<std::uint64_t, Answer>> pairs;
        for (TextReader::Finished& finished : (this->*reader)().take_finished()) {
          pairs.emplace_back(finished.tag, make(std::move(finished.reading)));
        }
        return pairs;
      });
}

}  // namespace trireme
