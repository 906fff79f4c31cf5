#include "layers/tensor_group.h"

#include <utility>

namespace trireme {

TensorGroup::TensorGroup(Communicator& ranks, const Backend& backend,
                         std::unique_ptr<DeviceCollectives> links)
    : ranks_(ranks), backend_(backend), links_(std::move(links)) {}

void TensorGroup::tree_all_reduce(const TreeSum& sum, std::span<const float* const> partials,
                                  std::int64_t count, float* out) {
  if (links_ != nullptr) return links_->tree_all_reduce(sum, partials, count, out);
  if (backend_.uses_host_memory()) return ranks_.tree_all_reduce(sum, partials, count, out);
  const auto size = static_cast<std::size_t>(count);
  staged_.resize((partials.size() + 1) * size);
  std::vector<const float*> pieces;
  for (std::size_t i = 0; i < partials.size(); ++i) {
    const std::span<float> piece(staged_.data() + (i + 1) * size, size);
    backend_.download(std::as_writable_bytes(piece), partials[i]);
    pieces.push_back(piece.data());
  }
  const std::span<float> total(staged_.data(), size);
  ranks_.tree_all_reduce(sum, pieces, count, total.data());
  backend_.upload(out, std::as_bytes(total));
}

void TensorGroup::send(int to, Tensor x) {
  const std::size_t bytes = static_cast<std::size_t>(x.size()) * sizeof(float);
  if (links_ != nullptr) return links_->send(to, x.data, bytes);
  const std::span<const float> values = on_host(backend_, x.data, x.size(), staged_);
  ranks_.send(to, std::as_bytes(values));
}

void TensorGroup::receive(int from, Tensor x) {
  const std::span<float> values(x.data, static_cast<std::size_t>(x.size()));
  if (links_ != nullptr) return links_->receive(from, x.data, values.size_bytes());
  if (backend_.uses_host_memory()) {
    return ranks_.receive_into(from, std::as_writable_bytes(values));
  }
  staged_.resize(values.size());
  ranks_.receive_into(from, std::as_writable_bytes(std::span(staged_)));
  backend_.upload(x.data, std::as_bytes(std::span(staged_)));
}

}  // namespace trireme
