// Engine::forward: a model as a function of arrays.
#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>

#include "api/engine_impl.h"
#include "core/error.h"

namespace trireme {

namespace {

/// Which columns of each row of a batch hold a token.
using Columns = std::vector<std::vector<std::int64_t>>;

const HostTensor& argument(const TensorMap& arguments, const std::string& name) {
  const auto found = arguments.find(name);
  if (found == arguments.end()) {
    fail(ErrorKind::usage, "forward(): the argument \"{}\" is missing", name);
  }
  return found->second;
}

void check_shape(const std::string& name, const HostTensor& tensor, std::size_t dimensions) {
  if (tensor.shape().size() == dimensions) return;
  fail(ErrorKind::usage, "forward(): {} is {}; expected {} dimensions", name, tensor.description(),
       dimensions);
}

/// Integers of any width.
std::vector<std::int64_t> integers(const std::string& name, const HostTensor& tensor) {
  check_shape(name, tensor, 2);
  const auto widened = [&](auto values) {
    return std::vector<std::int64_t>(values.begin(), values.end());
  };
  switch (tensor.dtype()) {
    case TensorDType::int64:
      return widened(tensor.values<std::int64_t>());
    case TensorDType::int32:
      return widened(tensor.values<std::int32_t>());
    case TensorDType::int16:
      return widened(tensor.values<std::int16_t>());
    case TensorDType::int8:
      return widened(tensor.values<std::int8_t>());
    case TensorDType::uint8:
      return widened(tensor.values<std::uint8_t>());
    case TensorDType::boolean:
      return widened(tensor.values<bool>());
    default:
      fail(ErrorKind::usage, "forward(): {} is {}; expected integers", name, tensor.description());
  }
}

/// One list of ids with its padding left out.
struct Ids {
  std::vector<std::vector<std::int32_t>> rows;
  Columns columns;
  std::int64_t width = 0;
};

class Arguments {
 public:
  Arguments(const TensorMap& arguments, const ModelSpec& model, std::int64_t longest)
      : arguments_(arguments), model_(model), longest_(longest) {}

  /// Throws for names that the model has no use for: a misspelt mask must not go unnoticed.
  void allow(std::initializer_list<const char*> names) const {
    for (const auto& [name, tensor] : arguments_) {
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      fail(ErrorKind::usage, "forward(): the model has no argument \"{}\"; it takes {}", name,
           fmt::join(names, ", "));
    }
  }

  Ids ids(const std::string& name, const std::string& mask_name) const {
    const HostTensor& tensor = argument(arguments_, name);
    const std::vector<std::int64_t> values = integers(name, tensor);
    const std::vector<std::int64_t> mask = mask_of(mask_name, name, tensor);
    Ids ids{.width = tensor.shape()[1]};
    for (std::int64_t row = 0; row < tensor.shape()[0]; ++row) {
      auto& kept = ids.rows.emplace_back();
      auto& columns = ids.columns.emplace_back();
      for (std::int64_t column = 0; column < ids.width; ++column) {
        const auto at = static_cast<std::size_t>(row * ids.width + column);
        if (!mask.empty() && mask[at] == 0) continue;
        if (!columns.empty() && columns.back() + 1 != column) {
          fail(ErrorKind::usage, "forward(): row {} of {} has a gap; padding stands at the ends",
               row, mask_name);
        }
        if (values[at] < 0 || values[at] >= model_.vocab_size) {
          fail(ErrorKind::usage, "forward(): {}[{}, {}] is {}; the vocabulary has {} tokens", name,
               row, column, values[at], model_.vocab_size);
        }
        kept.push_back(static_cast<std::int32_t>(values[at]));
        columns.push_back(column);
      }
      check_length(name, row, static_cast<std::int64_t>(kept.size()));
    }
    return ids;
  }

  /// Of the tokens that `ids` kept.
  std::vector<std::vector<std::int32_t>> types(const Ids& ids) const {
    std::vector<std::vector<std::int32_t>> types(ids.rows.size());
    const auto found = arguments_.find("token_type_ids");
    if (found == arguments_.end() || model_.token_types == 0) return types;
    const std::vector<std::int64_t> values = integers("token_type_ids", found->second);
    check_same("token_type_ids", found->second, ids);
    for (std::size_t row = 0; row < types.size(); ++row) {
      for (const std::int64_t column : ids.columns[row]) {
        const std::int64_t type =
            values[row * static_cast<std::size_t>(ids.width) + static_cast<std::size_t>(column)];
        if (type < 0 || type >= model_.token_types) {
          fail(ErrorKind::usage, "forward(): token_type_ids holds {}; the model knows {} types",
               type, model_.token_types);
        }
        types[row].push_back(static_cast<std::int32_t>(type));
      }
    }
    return types;
  }

  /// [batch, n, hidden_size] of float32, row by row.
  std::vector<std::vector<float>> features(const std::string& name) const {
    const HostTensor& tensor = argument(arguments_, name);
    check_shape(name, tensor, 3);
    if (tensor.dtype() != TensorDType::float32 || tensor.shape()[2] != model_.hidden_size) {
      fail(ErrorKind::usage, "forward(): {} is {}; expected float32 [batch, n, {}]", name,
           tensor.description(), model_.hidden_size);
    }
    std::vector<std::vector<float>> rows;
    const auto size = static_cast<std::size_t>(tensor.shape()[1] * tensor.shape()[2]);
    const std::span<const float> values = tensor.values<float>();
    for (std::int64_t row = 0; row < tensor.shape()[0]; ++row) {
      check_length(name, row, tensor.shape()[1]);
      const auto begin = values.begin() + row * static_cast<std::int64_t>(size);
      rows.emplace_back(begin, begin + static_cast<std::int64_t>(size));
    }
    return rows;
  }

 private:
  std::vector<std::int64_t> mask_of(const std::string& mask_name, const std::string& name,
                                    const HostTensor& ids) const {
    const auto found = arguments_.find(mask_name);
    if (found == arguments_.end()) return {};
    if (found->second.shape() != ids.shape()) {
      fail(ErrorKind::usage, "forward(): {} is {}, but {} is {}", mask_name,
           found->second.description(), name, ids.description());
    }
    return integers(mask_name, found->second);
  }

  void check_same(const std::string& name, const HostTensor& tensor, const Ids& ids) const {
    const auto rows = static_cast<std::int64_t>(ids.rows.size());
    if (tensor.shape()[0] == rows && tensor.shape()[1] == ids.width) return;
    fail(ErrorKind::usage, "forward(): {} is {}; expected the shape of input_ids, [{}, {}]", name,
         tensor.description(), rows, ids.width);
  }

  void check_length(const std::string& name, std::int64_t row, std::int64_t length) const {
    if (length == 0) fail(ErrorKind::usage, "forward(): row {} of {} is empty", row, name);
    if (length <= longest_) return;
    fail(ErrorKind::usage, "forward(): row {} of {} has {} tokens, the model takes {}", row, name,
         length, longest_);
  }

  const TensorMap& arguments_;
  const ModelSpec& model_;
  std::int64_t longest_;
};

/// A batch's rows, and where their results go.
struct Batch {
  std::vector<ModelRow> rows;
  Columns columns;         ///< of the result; none: one vector per row
  std::int64_t width = 0;  ///< of the result's second dimension
};

Batch batch_of_features(const Arguments& arguments) {
  arguments.allow({"src", "tgt"});
  std::vector<std::vector<float>> sources = arguments.features("src");
  std::vector<std::vector<float>> targets = arguments.features("tgt");
  if (sources.size() != targets.size()) {
    fail(ErrorKind::usage, "forward(): src has {} rows and tgt {}", sources.size(), targets.size());
  }
  Batch batch;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    batch.rows.push_back(
        {.features = std::move(targets[i]), .source_features = std::move(sources[i])});
  }
  return batch;
}

Batch batch_of_pairs(const Arguments& arguments) {
  arguments.allow({"input_ids", "attention_mask", "decoder_input_ids", "decoder_attention_mask"});
  Ids sources = arguments.ids("input_ids", "attention_mask");
  Ids targets = arguments.ids("decoder_input_ids", "decoder_attention_mask");
  if (sources.rows.size() != targets.rows.size()) {
    fail(ErrorKind::usage, "forward(): input_ids has {} rows and decoder_input_ids {}",
         sources.rows.size(), targets.rows.size());
  }
  Batch batch{.columns = std::move(targets.columns), .width = targets.width};
  for (std::size_t i = 0; i < sources.rows.size(); ++i) {
    batch.rows.push_back({.ids = std::move(targets.rows[i]), .source = std::move(sources.rows[i])});
  }
  return batch;
}

Batch batch_of_ids(const Arguments& arguments, const ModelSpec& model) {
  arguments.allow({"input_ids", "attention_mask", "token_type_ids"});
  Ids ids = arguments.ids("input_ids", "attention_mask");
  std::vector<std::vector<std::int32_t>> types = arguments.types(ids);
  Batch batch{.width = ids.width};
  if (model.output != Output::labels) batch.columns = std::move(ids.columns);
  for (std::size_t i = 0; i < ids.rows.size(); ++i) {
    batch.rows.push_back({.ids = std::move(ids.rows[i]), .type_ids = std::move(types[i])});
  }
  return batch;
}

Batch batch_of(const Arguments& arguments, const ModelSpec& model) {
  if (model.takes_features) return batch_of_features(arguments);
  if (model.is_encoder_decoder()) return batch_of_pairs(arguments);
  return batch_of_ids(arguments, model);
}

/// Puts the rows' values in their places, zeros where there was padding.
HostTensor assemble(const Batch& batch, const std::vector<std::vector<float>>& values,
                    std::int64_t depth) {
  const auto rows = static_cast<std::int64_t>(values.size());
  if (batch.columns.empty()) {  // one vector each, or as many as the row had
    const std::int64_t each =
        rows == 0 ? 0 : static_cast<std::int64_t>(values.front().size()) / depth;
    const bool vectors = batch.rows.front().features.empty();
    HostTensor out(TensorDType::float32,
                   vectors ? std::vector{rows, depth} : std::vector{rows, each, depth});
    float* to = out.values<float>().data();
    for (const std::vector<float>& row : values) to = std::copy(row.begin(), row.end(), to);
    return out;
  }
  HostTensor out(TensorDType::float32, {rows, batch.width, depth});
  for (std::size_t row = 0; row < values.size(); ++row) {
    const std::vector<std::int64_t>& columns = batch.columns[row];
    float* to = out.values<float>().data() +
                (static_cast<std::int64_t>(row) * batch.width + columns.front()) * depth;
    std::copy(values[row].begin(), values[row].end(), to);
  }
  return out;
}

std::int64_t depth_of(const ModelSpec& model) {
  switch (model.output) {
    case Output::logits:
      return model.vocab_size;
    case Output::labels:
      return model.output_size;
    case Output::sentence:
    case Output::hidden:
      break;
  }
  return model.hidden_size;
}

std::string result_name(const ModelSpec& model) {
  if (model.output == Output::sentence) return "last_hidden_state";
  return model.output == Output::hidden ? "output" : "logits";
}

}  // namespace

TensorMap Engine::forward(const TensorMap& arguments) {
  const ModelSpec& model = impl_->replica->spec();
  const Batch batch =
      batch_of(Arguments(arguments, model, impl_->replica->max_sequence_tokens()), model);
  const auto rows = [&]() -> ModelRows& {
    if (!impl_->rows) impl_->rows.emplace(*impl_->replica, *impl_->sequences);
    return *impl_->rows;
  };
  const auto values = impl_->answer_all<std::vector<float>>(
      "forward", batch.rows.size(), [&](std::size_t row) { rows().submit(row, batch.rows[row]); },
      [&] {
        impl_->step();
        std::vector<std::pair<std::uint64_t, std::vector<float>>> pairs;
        for (ModelRows::Finished& finished : rows().take_finished()) {
          pairs.emplace_back(finished.tag, std::move(finished.values));
        }
        return pairs;
      });
  if (values.empty()) return {};
  return {{result_name(model), assemble(batch, values, depth_of(model))}};
}

}  // namespace trireme
