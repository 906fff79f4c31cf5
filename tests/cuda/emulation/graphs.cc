// Captures and graphs: a capture collects what is put into its streams, and what each waits for; a
// graph runs that as one operation, in a random order that respects the waits.
#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "emulation/queue.h"

namespace trireme::cuda::emulation {

namespace {

/// Whether every stream that took part has come back to the one that began.
bool is_joined(Capture& capture) {
  const Clock& origin = capture.clocks[capture.origin];
  return std::all_of(capture.clocks.begin(), capture.clocks.end(), [&](const auto& one) {
    const auto& [stream, clock] = one;
    const auto own = clock.find(stream);
    if (own == clock.end()) return true;
    const auto seen = origin.find(stream);
    return seen != origin.end() && seen->second >= own->second;
  });
}

/// What streams have still to do, and how far they are.
struct Replay {
  std::map<cudaStream_t, std::vector<const Node*>> todo;
  Clock done;

  bool is_ready(cudaStream_t stream) {
    const std::vector<const Node*>& nodes = todo[stream];
    const auto next = static_cast<std::size_t>(done[stream]);
    if (next == nodes.size()) return false;
    const Clock& after = nodes[next]->after;
    return std::all_of(after.begin(), after.end(),
                       [&](const auto& one) { return one.second <= done[one.first]; });
  }
};

void replay(const Nodes& nodes) {
  Replay state;
  for (const Node& node : nodes) state.todo[node.stream].push_back(&node);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    std::vector<cudaStream_t> ready;
    for (const auto& [stream, its] : state.todo) {
      if (state.is_ready(stream)) ready.push_back(stream);
    }
    const cudaStream_t next = ready[random().below(static_cast<std::uint32_t>(ready.size()))];
    state.todo[next][static_cast<std::size_t>(state.done[next]++)]->run();
  }
}

}  // namespace

void add_node(cudaStream_t stream, std::function<void()> run) {
  Clock& clock = stream->capture->clocks[stream];
  stream->capture->nodes.push_back({std::move(run), stream, clock});
  ++clock[stream];
}

void end_capture(Capture* capture) {
  for (const auto& [stream, clock] : capture->clocks) stream->capture = nullptr;
  for (const cudaEvent_t event : streams.events) {
    if (event->state->capture == capture) event->state->capture = nullptr;
  }
  std::erase_if(streams.captures, [capture](const auto& one) { return one.get() == capture; });
}

cudaError_t join(cudaStream_t stream, const EventState& event) {
  Capture* capture = event.capture;
  if (stream->capture != nullptr && stream->capture != capture) {
    stream->capture->invalid = capture->invalid = true;
    return cudaErrorStreamCaptureMerge;
  }
  stream->capture = capture;
  Clock& clock = capture->clocks[stream];
  for (const auto& [other, count] : event.clock) {
    int& seen = clock[other];
    seen = std::max(seen, count);
  }
  return cudaSuccess;
}

bool spoils_capture() {
  bool spoils = false;
  for (const auto& capture : streams.captures) {
    const bool ours = capture->thread == std::this_thread::get_id();
    if (capture->mode == cudaStreamCaptureModeGlobal ||
        (capture->mode == cudaStreamCaptureModeThreadLocal && ours)) {
      capture->invalid = true;
      spoils = true;
    }
  }
  return spoils;
}

}  // namespace trireme::cuda::emulation

using namespace trireme::cuda::emulation;

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  const std::lock_guard hold(runtime_lock());
  if (stream == nullptr) return failed(cudaErrorStreamCaptureUnsupported);
  if (!streams.created.contains(stream)) return failed(cudaErrorInvalidResourceHandle);
  if (stream->capture != nullptr) return failed(cudaErrorInvalidValue);
  auto capture = std::make_unique<Capture>();
  capture->origin = stream;
  capture->mode = mode;
  capture->thread = std::this_thread::get_id();
  capture->clocks[stream] = {};
  stream->capture = capture.get();
  streams.captures.push_back(std::move(capture));
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const std::lock_guard hold(runtime_lock());
  *graph = nullptr;
  if (!streams.created.contains(stream)) return failed(cudaErrorInvalidResourceHandle);
  Capture* capture = stream->capture;
  if (capture == nullptr) return failed(cudaErrorInvalidValue);
  if (capture->origin != stream) return failed(cudaErrorStreamCaptureUnmatched);
  if (capture->mode != cudaStreamCaptureModeRelaxed &&
      capture->thread != std::this_thread::get_id()) {
    return failed(cudaErrorStreamCaptureWrongThread);
  }
  const cudaError_t error = capture->invalid      ? cudaErrorStreamCaptureInvalidated
                            : is_joined(*capture) ? cudaSuccess
                                                  : cudaErrorStreamCaptureUnjoined;
  if (error == cudaSuccess) {
    *graph = new CUgraph_st{std::make_shared<const Nodes>(std::move(capture->nodes))};
  }
  end_capture(capture);
  return error == cudaSuccess ? cudaSuccess : failed(error);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  const std::lock_guard hold(runtime_lock());
  const cudaStream_t stream = resolved(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  *status = stream->capture == nullptr ? cudaStreamCaptureStatusNone
            : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                       : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  if (graph == nullptr) return failed(cudaErrorInvalidValue);
  *executable = new CUgraphExec_st{graph->nodes};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const std::lock_guard hold(runtime_lock());
  if (executable == nullptr) return failed(cudaErrorInvalidValue);
  return put(stream, {[nodes = executable->nodes] { replay(*nodes); }});
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  const std::lock_guard hold(runtime_lock());
  delete executable;
  return cudaSuccess;
}
