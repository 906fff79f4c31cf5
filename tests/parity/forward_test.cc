// Engine::forward over padded batches, and the engines that share one process: against the goldens
// of transformers and torch, and against each other byte for byte.
#include <gtest/gtest.h>

#include <cmath>

#include "golden.h"
#include "trireme/local_engine.h"
#include "weights/tensor_source.h"

namespace trireme::testing {
namespace {

Options options_for(const std::filesystem::path& directory) {
  Options options;
  options.model = directory;
  options.dtype = "float32";
  options.threads = 1;
  options.max_model_len = 70;
  options.max_step_tokens = 48;
  return options;
}

/// The golden rows of one name as a batch; shorter ones padded on one side.
struct Padded {
  HostTensor ids;
  HostTensor mask;
  std::vector<std::int64_t> lengths;
};

Padded padded(const GoldenTensors& golden, const std::string& name, bool left) {
  std::vector<std::vector<std::int32_t>> rows;
  std::size_t width = 0;
  for (std::size_t i = 0; golden.has(name + "." + std::to_string(i)); ++i) {
    rows.push_back(golden.ids(name + "." + std::to_string(i)));
    width = std::max(width, rows.back().size());
  }
  std::vector<std::int64_t> ids;
  std::vector<std::int32_t> mask;
  Padded batch;
  for (const auto& row : rows) {
    const std::size_t rest = width - row.size();
    ids.insert(ids.end(), left ? rest : 0, 0);
    mask.insert(mask.end(), left ? rest : 0, 0);
    ids.insert(ids.end(), row.begin(), row.end());
    mask.insert(mask.end(), row.size(), 1);
    ids.insert(ids.end(), left ? 0 : rest, 0);
    mask.insert(mask.end(), left ? 0 : rest, 0);
    batch.lengths.push_back(static_cast<std::int64_t>(row.size()));
  }
  const std::vector<std::int64_t> shape{static_cast<std::int64_t>(rows.size()),
                                        static_cast<std::int64_t>(width)};
  batch.ids = HostTensor(shape, ids);
  batch.mask = HostTensor(shape, mask);
  return batch;
}

void expect_near(std::span<const float> got, const std::vector<float>& wanted,
                 const std::string& what) {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  float largest = 0;
  for (const float value : wanted) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    ASSERT_NEAR(got[i], wanted[i], 1e-4f * largest) << what << " at " << i;
  }
}

class ForwardParity : public ::testing::TestWithParam<std::filesystem::path> {
 protected:
  ForwardParity() : golden_(GetParam()) {}

  /// Row `i` of [batch, width, depth], without the padding; of [batch, depth] all of it.
  std::span<const float> row(const HostTensor& tensor, std::size_t i, std::int64_t begin,
                             std::int64_t length) const {
    const auto& shape = tensor.shape();
    const std::span<const float> all = tensor.values<float>();
    if (shape.size() == 2) {
      return all.subspan(i * static_cast<std::size_t>(shape[1]),
                         static_cast<std::size_t>(shape[1]));
    }
    const std::int64_t from = (static_cast<std::int64_t>(i) * shape[1] + begin) * shape[2];
    return all.subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(length * shape[2]));
  }

  GoldenTensors golden_;
};

TEST_P(ForwardParity, PaddedBatchesGiveTheGoldens) {
  Engine engine(options_for(GetParam()));
  if (engine.kind() == ModelKind::features) {
    for (int i = 0; i < 4; ++i) {
      const std::string end = "." + std::to_string(i);
      const auto batch_of_one = [&](const std::string& name) {
        return HostTensor({1, golden_.rows(name + end), 32}, golden_.floats(name + end));
      };
      const TensorMap out =
          engine.forward({{"src", batch_of_one("src")}, {"tgt", batch_of_one("tgt")}});
      expect_near(out.at("output").values<float>(), golden_.floats("values" + end), end);
    }
    return;
  }
  const bool pairs = engine.kind() == ModelKind::encoder_decoder;
  for (const bool left : {false, true}) {
    const Padded batch = padded(golden_, "ids", left);
    TensorMap arguments{{"input_ids", batch.ids}, {"attention_mask", batch.mask}};
    if (pairs) {
      const Padded source = padded(golden_, "source", left);
      arguments = {{"input_ids", source.ids},
                   {"attention_mask", source.mask},
                   {"decoder_input_ids", batch.ids},
                   {"decoder_attention_mask", batch.mask}};
    } else if (golden_.has("type_ids.2")) {
      continue;  // the goldens have types; TaskParity compares those
    }
    const TensorMap out = engine.forward(arguments);
    ASSERT_EQ(out.size(), 1u);
    const auto& [name, tensor] = *out.begin();
    for (std::size_t i = 0; i < batch.lengths.size(); ++i) {
      const std::string end = "." + std::to_string(i);
      const std::int64_t begin = left ? batch.ids.shape()[1] - batch.lengths[i] : 0;
      const std::string wanted = golden_.has("hidden" + end)   ? "hidden" + end
                                 : golden_.has("logits" + end) ? "logits" + end
                                                               : "values" + end;
      expect_near(row(tensor, i, begin, batch.lengths[i]), golden_.floats(wanted), wanted);
    }
  }
}

/// transformers' classifiers on decoders read the last token that is no padding, mask or not.
TEST_P(ForwardParity, ACausalClassifierPassesOverPaddingAtTheEnd) {
  Engine engine(options_for(GetParam()));
  if (engine.kind() != ModelKind::classifier || golden_.has("type_ids.2")) return;
  const bool causal = GetParam().filename().string().starts_with("gpt2") ||
                      GetParam().filename().string().starts_with("llama");
  if (!causal) return;
  const Padded batch = padded(golden_, "ids", false);  // with id 0, which is pad_token_id
  const TensorMap out = engine.forward({{"input_ids", batch.ids}});
  for (std::size_t i = 0; i < batch.lengths.size(); ++i) {
    const std::string wanted = "values." + std::to_string(i);
    expect_near(row(out.at("logits"), i, 0, 0), golden_.floats(wanted), wanted);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, ForwardParity, ::testing::ValuesIn(task_golden_directories()),
                         [](const auto& param) { return param.param.filename().string(); });

std::filesystem::path task(const char* name) {
  return std::filesystem::path(TRIREME_SOURCE_DIR) / "tests/data/tasks" / name;
}

TensorMap arguments_of(const GoldenTensors& golden) {
  const Padded source = padded(golden, "source", false);
  const Padded batch = padded(golden, "ids", false);
  return {{"input_ids", source.ids},
          {"attention_mask", source.mask},
          {"decoder_input_ids", batch.ids},
          {"decoder_attention_mask", batch.mask}};
}

TEST(LocalEngineTest, ThreadsOfOneProcessGiveTheSameBytesUnderEveryPlan) {
  for (const char* dtype : {"float32", "bfloat16"}) {
    Options options = options_for(task("t5_gated"));
    options.dtype = dtype;
    const TensorMap arguments = arguments_of(GoldenTensors(options.model));
    const TensorMap wanted = LocalEngine(options).forward(arguments);
    for (const auto& [dp, tp, pp] :
         {std::tuple{2, 1, 1}, {1, 2, 1}, {1, 1, 2}, {1, 1, 5}, {1, 3, 1}, {2, 2, 2}}) {
      options.data_parallel_size = dp;
      options.tensor_parallel_size = tp;
      options.pipeline_parallel_size = pp;
      LocalEngine engine(options);
      EXPECT_EQ(engine.forward(arguments), wanted) << dtype << dp << tp << pp;
      EXPECT_EQ(engine.stats().size(), static_cast<std::size_t>(dp * tp * pp));
    }
  }
}

TEST(LocalEngineTest, EncodersToo) {
  for (const char* name : {"bert_mean", "bert_classify", "roberta_masked", "gpt2_classify"}) {
    Options options = options_for(task(name));
    const Padded batch = padded(GoldenTensors(options.model), "ids", false);
    const TensorMap arguments{{"input_ids", batch.ids}, {"attention_mask", batch.mask}};
    const TensorMap wanted = LocalEngine(options).forward(arguments);
    for (const auto& [dp, tp, pp] : {std::tuple{3, 1, 1}, {1, 3, 1}, {1, 1, 4}, {1, 2, 2}}) {
      options.data_parallel_size = dp;
      options.tensor_parallel_size = tp;
      options.pipeline_parallel_size = pp;
      EXPECT_EQ(LocalEngine(options).forward(arguments), wanted) << name << dp << tp << pp;
    }
  }
}

/// The PyTorch seed's second example: the encoder on one device, the decoder on another.
TEST(ModelParallelTest, EncoderHereDecoderThere) {
  const Options options = options_for(task("torch_bare_layers"));
  const GoldenTensors golden(options.model);
  ModelParallel model(options, {{"encoder", "cpu:0"}, {"decoder", "cpu:1"}});
  const TensorMap out = model({{"src", HostTensor({1, 37, 32}, golden.floats("src.2"))},
                               {"tgt", HostTensor({1, 7, 32}, golden.floats("tgt.2"))}});
  expect_near(out.at("output").values<float>(), golden.floats("values.2"), "output");
  const std::vector<EngineStats> stats = model.engine().stats();
  ASSERT_EQ(stats.size(), 2u);
  EXPECT_EQ(stats[0].model_blocks, 3);
  EXPECT_EQ(stats[1].model_blocks, 3);
}

/// The PyTorch seed's first example, with a batch that two devices cannot share evenly.
TEST(DataParallelTest, ScattersAndGathers) {
  const Options options = options_for(task("torch_transformer"));
  std::vector<float> numbers(static_cast<std::size_t>(5 * 9 * 32));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = std::sin(static_cast<float>(i) * 0.37f);
  }
  const HostTensor rows({5, 9, 32}, numbers);
  const TensorMap arguments{{"src", rows}, {"tgt", rows}};
  const TensorMap alone = DataParallel(options, {"cpu:0"})(arguments);
  DataParallel both(options, {"cpu:0", "cpu:1"});
  EXPECT_EQ(both(arguments), alone);
  EXPECT_EQ(both(arguments), alone);
  EXPECT_EQ(alone.at("output").shape(), (std::vector<std::int64_t>{5, 9, 32}));
  const std::vector<EngineStats> stats = both.engine().stats();
  EXPECT_TRUE(stats[0].shared_weights != stats[1].shared_weights);
  for (const EngineStats& rank : stats) EXPECT_GT(rank.computed_tokens, 0);
}

TEST(LocalEngineTest, WrongArgumentsAreToldAndHarmNobody) {
  Options options = options_for(task("t5"));
  options.pipeline_parallel_size = 2;
  LocalEngine engine(options);
  const TensorMap good = arguments_of(GoldenTensors(options.model));
  const TensorMap wanted = engine.forward(good);
  const auto error_of = [&](const TensorMap& arguments) -> std::string {
    try {
      engine.forward(arguments);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
      return error.what();
    }
    return "";
  };
  const auto with = [&](const std::string& name, HostTensor tensor) {
    TensorMap arguments = good;
    arguments[name] = std::move(tensor);
    return arguments;
  };
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_TRUE(has(error_of({}), "input_ids"));
  EXPECT_TRUE(has(error_of(with("atention_mask", HostTensor())), "no argument \"atention_mask\""));
  const std::vector<std::int64_t> four{1, 2, 3, 4};
  EXPECT_TRUE(has(error_of(with("attention_mask", HostTensor({1, 4}, four))), "attention_mask is"));
  const std::vector<std::int64_t> far{1, 2, 3, 1000};
  EXPECT_TRUE(has(error_of({{"input_ids", HostTensor({1, 4}, far)},
                            {"decoder_input_ids", HostTensor({1, 4}, four)}}),
                  "the vocabulary has 96"));
  EXPECT_TRUE(
      has(error_of({{"input_ids", HostTensor({1, 4}, four)},
                    {"attention_mask", HostTensor({1, 4}, std::vector<std::int64_t>{1, 0, 1, 1})},
                    {"decoder_input_ids", HostTensor({1, 4}, four)}}),
          "gap"));
  EXPECT_THROW(engine.embed({}), Error);
  EXPECT_EQ(engine.forward(good), wanted);
}

}  // namespace
}  // namespace trireme::testing
