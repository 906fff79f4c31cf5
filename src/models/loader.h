// Fills a rank's parameters from a checkpoint: reads only the slices this rank keeps, converts them
// to the dtype computed in, and packs them for the backend.
#pragma once

#include <functional>

#include "layers/parameter_store.h"
#include "weights/tensor_source.h"

namespace trireme {

/// The tensor of this name, or of one that other checkpoints have for it: one saved from the bare
/// base model lacks the "transformer.", "model." or "bert." in front, and an old one calls a norm's
/// weight gamma. Null if there is none.
const TensorInfo* find_tensor(const TensorSource& source, std::string_view name);

/// Tensors a model needs that are missing from `source` or have another shape than config.json
/// says: throws Error(input) naming the file, the tensor, both shapes.
void check_checkpoint(const ModelSpec& model, const TensorSource& source);

/// Fills every entry of `store`, which has been placed, on all threads. `progress` is called often,
/// by the calling thread.
void load_parameters(ParameterStore& store, const TensorSource& source, ThreadPool& threads,
                     const std::function<void()>& progress = {});

/// The tensors of `model` for a dummy source: normal weights, norms around one.
std::vector<DummyTensor> dummy_tensors(const ModelSpec& model);

}  // namespace trireme
