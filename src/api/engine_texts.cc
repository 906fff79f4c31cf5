// The engine's calls for choices, and for whole texts: vectors, labels, masks.
#include "api/engine_impl.h"
#include "core/error.h"
#include "tasks/unheeded_settings.h"

namespace trireme {

std::string_view name_of(ModelKind kind) {
  switch (kind) {
    case ModelKind::decoder:
      return "model that goes on with a text";
    case ModelKind::encoder_decoder:
      return "model that answers a text (encoder-decoder)";
    case ModelKind::sentence:
      return "model of sentence vectors";
    case ModelKind::classifier:
      return "classifier";
    case ModelKind::masked_lm:
      return "model that fills in masks";
    case ModelKind::features:
      break;
  }
  return "model over numbers";
}

ModelKind kind_of(const ModelSpec& model) {
  switch (model.output) {
    case Output::sentence:
      return ModelKind::sentence;
    case Output::labels:
      return ModelKind::classifier;
    case Output::hidden:
      return ModelKind::features;
    case Output::logits:
      break;
  }
  if (model.whole_sequences) return ModelKind::masked_lm;
  return model.is_encoder_decoder() ? ModelKind::encoder_decoder : ModelKind::decoder;
}

TextReader& Engine::Impl::reading(std::optional<TextReader>& reader,
                                  const TextReader::Settings& settings) {
  TRIREME_ASSERT(sequences.has_value());
  if (!reader) reader.emplace(*replica, *sequences, *prompts, settings);
  return *reader;
}

const Labels& Engine::Impl::labels() {
  check_kind("labels", ModelKind::classifier);
  if (!label_names) label_names.emplace(replica->files().config, replica->spec().output_size);
  return *label_names;
}

void Engine::Impl::prepare() {
  const auto read_tokenizer_if_there = [this] {
    const ModelTexts& texts = *replica->files().texts;
    if (texts.read("tokenizer.json") || texts.read("vocab.json")) prompts->tokenizer();
  };
  switch (kind_of(replica->spec())) {
    case ModelKind::decoder:
    case ModelKind::encoder_decoder:
      generating();
      return;
    case ModelKind::classifier:
      labels();
      return read_tokenizer_if_there();
    case ModelKind::sentence:
      return read_tokenizer_if_there();
    case ModelKind::masked_lm:
      prompts->mask_token();
      return;
    case ModelKind::features:
      return;
  }
}

std::vector<Embedding> Engine::embed(std::span<const Request> requests) {
  return impl_->read_all<Embedding>("embed", requests, ModelKind::sentence, &Impl::embedding,
                                    embedding_of);
}

std::vector<Classification> Engine::classify(std::span<const Request> requests) {
  return impl_->read_all<Classification>(
      "classify", requests, ModelKind::classifier, &Impl::classifying,
      [&](Reading reading) { return impl_->labels().classify(std::move(reading)); });
}

namespace {

void check_count(std::int64_t count) {
  if (count >= 1) return;
  fail(ErrorKind::usage, "fill_mask: {} candidates for a mask; ask for at least 1", count);
}

}  // namespace

std::vector<MaskFill> Engine::fill_mask(std::span<const Request> requests, std::int64_t count) {
  check_count(count);
  return impl_->read_all<MaskFill>(
      "fill_mask", requests, ModelKind::masked_lm, &Impl::filling, [&](Reading reading) {
        return fill_masks(std::move(reading), impl_->prompts->tokenizer(),
                          impl_->replica->spec().vocab_size, count);
      });
}

const std::vector<std::string>& Engine::labels() const { return impl_->labels().names(); }
ModelKind Engine::kind() const { return kind_of(impl_->replica->spec()); }

Chooser& Engine::Impl::choosing() {
  check_generates("choose");
  TRIREME_ASSERT(sequences.has_value());
  if (!chooser) chooser.emplace(*replica, *sequences, *prompts);
  return *chooser;
}

std::vector<Choice> Engine::choose(std::span<const Request> requests) {
  using Pair = std::pair<std::uint64_t, Choice>;
  impl_->check_generates("choose");  // on all ranks, as in generate()
  return impl_->answer_all<Choice>(
      "choose", requests.size(), [&](std::size_t row) { submit_choice(row, requests[row]); },
      [&] {
        std::vector<Pair> pairs;
        for (FinishedChoice& f : step_choices()) pairs.emplace_back(f.tag, std::move(f.choice));
        return pairs;
      });
}

void Engine::submit_choice(std::uint64_t tag, const Request& request) {
  impl_->choosing().submit(tag, request);
}

std::vector<Engine::FinishedChoice> Engine::step_choices() {
  impl_->step();
  std::vector<FinishedChoice> finished;
  if (!impl_->chooser) return finished;
  for (auto& [tag, choice] : impl_->chooser->take_finished()) {
    finished.push_back({tag, std::move(choice)});
  }
  return finished;
}

void Engine::submit_embedding(std::uint64_t tag, const Request& request) {
  impl_->check_kind("embed", ModelKind::sentence);
  impl_->embedding().submit(tag, request);
}

void Engine::submit_classification(std::uint64_t tag, const Request& request) {
  impl_->labels();
  impl_->classifying().submit(tag, request);
}

void Engine::submit_mask_fill(std::uint64_t tag, const Request& request) {
  impl_->check_kind("fill_mask", ModelKind::masked_lm);
  impl_->filling().submit(tag, request);
}

std::vector<Engine::FinishedEmbedding> Engine::step_embeddings() {
  impl_->step();
  std::vector<FinishedEmbedding> finished;
  if (!impl_->embeddings) return finished;
  for (auto& [tag, reading] : impl_->embeddings->take_finished()) {
    finished.push_back({tag, embedding_of(std::move(reading))});
  }
  return finished;
}

std::vector<Engine::FinishedClassification> Engine::step_classifications() {
  impl_->step();
  std::vector<FinishedClassification> finished;
  if (!impl_->classifications) return finished;
  for (auto& [tag, reading] : impl_->classifications->take_finished()) {
    finished.push_back({tag, impl_->labels().classify(std::move(reading))});
  }
  return finished;
}

std::vector<Engine::FinishedMaskFill> Engine::step_mask_fills(std::int64_t count) {
  check_count(count);
  impl_->step();
  std::vector<FinishedMaskFill> finished;
  if (!impl_->mask_fills) return finished;
  for (auto& [tag, reading] : impl_->mask_fills->take_finished()) {
    finished.push_back({tag, fill_masks(std::move(reading), impl_->prompts->tokenizer(),
                                        impl_->replica->spec().vocab_size, count)});
  }
  return finished;
}

namespace {

std::vector<ModelTask> config_tasks(const HfConfig& config) {
  const HfConfig all = config.object("task_specific_params");
  std::vector<ModelTask> tasks;
  for (const std::string& name : all.keys()) {
    const HfConfig task = all.object(name);
    const std::optional<std::int64_t> length = task.integer("max_length");
    if (length && *length < 1) task.reject("max_length", "an integer of at least 1");
    tasks.push_back({name, task.string_or("prefix", ""), length, unheeded_settings(task)});
  }
  return tasks;
}

std::vector<ModelTask> sentence_prompts(const ModelTexts& texts) {
  constexpr std::string_view file = "config_sentence_transformers.json";
  const HfConfig config = HfConfig::parse(texts.read(file).value_or("{}"), texts.where(file));
  const HfConfig prompts = config.object("prompts");
  const std::string chosen = config.string_or("default_prompt_name", "");
  std::vector<ModelTask> tasks;
  for (const std::string& name : prompts.keys()) {
    tasks.push_back({.name = name, .prefix = prompts.string_or(name, "")});
    tasks.back().by_default = name == chosen;
  }
  if (!chosen.empty() && !prompts.has(chosen)) {
    config.reject("default_prompt_name", "the name of one of \"prompts\"");
  }
  return tasks;
}

}  // namespace

std::vector<ModelTask> model_tasks(const Options& options) {
  const OpenModel files = open_model(options);
  return files.model->spec().output == Output::sentence ? sentence_prompts(*files.texts)
                                                        : config_tasks(files.config);
}

}  // namespace trireme
