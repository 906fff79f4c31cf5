// Streams that are lazy: what the host puts into them runs when the host waits for it, or at random
// before. So a result read too early is not there yet, and a buffer reused too early is.
#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "emulation/queue.h"

namespace trireme::cuda::emulation {

Streams streams;

namespace {

double now() {
  return std::chrono::duration<double, std::milli>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// ---- running what is queued ----

/// Runs the next operation of `stream`, and before it what it waits for.
void run_one(cudaStream_t stream) {
  Operation operation = std::move(stream->queue.front());
  stream->queue.pop_front();
  while (operation.waits_for != nullptr && operation.waits_for->completed < operation.version) {
    run_one(operation.source);
  }
  if (operation.run) operation.run();
}

std::vector<cudaStream_t> busy_streams() {
  std::vector<cudaStream_t> busy;
  for (const auto& [device, stream] : streams.legacy) {
    if (!stream->queue.empty()) busy.push_back(stream.get());
  }
  for (const cudaStream_t stream : streams.created) {
    if (!stream->queue.empty()) busy.push_back(stream);
  }
  return busy;
}

/// Lets a stream go on whose turn it need not be.
void run_somewhere() {
  const std::vector<cudaStream_t> busy = busy_streams();
  if (!busy.empty()) run_one(busy[random().below(static_cast<std::uint32_t>(busy.size()))]);
}

void run_all(cudaStream_t stream) {
  if (stream->queue.empty()) return;
  const MemoryAccess access;
  while (!stream->queue.empty()) {
    if (random().below(4) == 0) run_somewhere();
    if (!stream->queue.empty()) run_one(stream);
  }
}

cudaStream_t legacy_stream(int device) {
  std::unique_ptr<CUstream_st>& stream = streams.legacy[device];
  if (stream == nullptr) stream = std::make_unique<CUstream_st>(CUstream_st{.device = device});
  return stream.get();
}

bool is_legacy(cudaStream_t stream) { return stream == legacy_stream(stream->device); }

/// The legacy stream and the blocking streams of its device wait for one another.
cudaError_t keep_legacy_order(cudaStream_t stream) {
  if (!stream->blocking) return cudaSuccess;
  if (!is_legacy(stream)) {
    run_all(legacy_stream(stream->device));
    return cudaSuccess;
  }
  for (const cudaStream_t other : streams.created) {
    if (other->device != stream->device || !other->blocking) continue;
    if (other->capture != nullptr) {
      other->capture->invalid = true;
      return cudaErrorStreamCaptureImplicit;
    }
    run_all(other);
  }
  return cudaSuccess;
}

/// Nothing may be asked of a stream, or of an event, whose work is only being recorded.
cudaError_t refuse_capture(Capture* capture) {
  if (capture == nullptr) return cudaSuccess;
  capture->invalid = true;
  return failed(cudaErrorStreamCaptureUnsupported);
}

}  // namespace

cudaStream_t resolved(cudaStream_t stream) {
  if (stream == nullptr) return legacy_stream(current_device());
  return streams.created.contains(stream) ? stream : nullptr;
}

cudaError_t put(cudaStream_t handle, Operation operation) {
  const cudaStream_t stream = resolved(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (stream->capture != nullptr) {
    if (stream->capture->invalid) return failed(cudaErrorStreamCaptureInvalidated);
    add_node(stream, std::move(operation.run));
    return cudaSuccess;
  }
  if (const cudaError_t error = keep_legacy_order(stream)) return failed(error);
  stream->queue.push_back(std::move(operation));
  if (random().below(16) == 0) {
    const MemoryAccess access;
    for (std::uint32_t count = random().below(8); count > 0; --count) run_somewhere();
  }
  return cudaSuccess;
}

void run_everything() {
  for (const cudaStream_t stream : busy_streams()) run_all(stream);
}

}  // namespace trireme::cuda::emulation

using namespace trireme::cuda::emulation;

// ---- streams ----

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  const std::lock_guard hold(runtime_lock());
  *stream = new CUstream_st{.device = current_device(), .blocking = flags == cudaStreamDefault};
  streams.created.insert(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::lock_guard hold(runtime_lock());
  if (!streams.created.contains(stream)) return failed(cudaErrorInvalidResourceHandle);
  if (stream->capture != nullptr) end_capture(stream->capture);
  run_all(stream);
  streams.created.erase(stream);
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  const std::lock_guard hold(runtime_lock());
  const cudaStream_t stream = resolved(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (const cudaError_t error = refuse_capture(stream->capture)) return error;
  if (const cudaError_t error = keep_legacy_order(stream)) return failed(error);
  run_all(stream);
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  const std::lock_guard hold(runtime_lock());
  const cudaStream_t stream = resolved(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (const cudaError_t error = refuse_capture(stream->capture)) return error;
  // Asking again and again must come to an end.
  if (stream->queue.empty()) return cudaSuccess;
  const MemoryAccess access;
  run_one(stream);
  return stream->queue.empty() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaDeviceSynchronize() {
  const std::lock_guard hold(runtime_lock());
  if (spoils_capture()) return failed(cudaErrorStreamCaptureUnsupported);
  for (const cudaStream_t stream : busy_streams()) {
    if (stream->device == current_device()) run_all(stream);
  }
  return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  const std::lock_guard hold(runtime_lock());
  return put(stream, {[=] { function(data); }});
}

// ---- events ----

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  const std::lock_guard hold(runtime_lock());
  *event =
      new CUevent_st{.device = current_device(), .timing = (flags & cudaEventDisableTiming) == 0};
  streams.events.insert(*event);
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const std::lock_guard hold(runtime_lock());
  if (streams.events.erase(event) == 0) return failed(cudaErrorInvalidResourceHandle);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  const std::lock_guard hold(runtime_lock());
  const cudaStream_t stream = resolved(handle);
  if (stream == nullptr || !streams.events.contains(event)) {
    return failed(cudaErrorInvalidResourceHandle);
  }
  if (event->device != stream->device) return failed(cudaErrorInvalidResourceHandle);
  const std::shared_ptr<EventState> state = event->state;
  state->capture = stream->capture;
  if (stream->capture != nullptr) {
    state->clock = stream->capture->clocks[stream];
    return cudaSuccess;
  }
  const std::uint64_t version = ++state->recorded;
  state->stream = stream;
  return put(handle, {[state, version] {
               state->completed = std::max(state->completed, version);
               state->milliseconds = now();
             }});
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  const std::lock_guard hold(runtime_lock());
  const cudaStream_t stream = resolved(handle);
  if (stream == nullptr || !streams.events.contains(event)) {
    return failed(cudaErrorInvalidResourceHandle);
  }
  const std::shared_ptr<EventState>& state = event->state;
  if (state->capture != nullptr) {
    const cudaError_t error = join(stream, *state);
    return error == cudaSuccess ? cudaSuccess : failed(error);
  }
  if (stream->capture != nullptr) {  // what lies outside cannot become a part of the graph
    stream->capture->invalid = true;
    return failed(cudaErrorStreamCaptureIsolation);
  }
  if (state->completed == state->recorded) return cudaSuccess;
  return put(handle, {.waits_for = state, .version = state->recorded, .source = state->stream});
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const std::lock_guard hold(runtime_lock());
  if (!streams.events.contains(event)) return failed(cudaErrorInvalidResourceHandle);
  if (const cudaError_t error = refuse_capture(event->state->capture)) return error;
  const std::uint64_t version = event->state->recorded;
  if (event->state->completed >= version) return cudaSuccess;
  const MemoryAccess access;
  while (event->state->completed < version) run_one(event->state->stream);
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const std::lock_guard hold(runtime_lock());
  if (!streams.events.contains(event)) return failed(cudaErrorInvalidResourceHandle);
  EventState& state = *event->state;
  if (const cudaError_t error = refuse_capture(state.capture)) return error;
  if (state.completed == state.recorded) return cudaSuccess;
  const MemoryAccess access;
  run_one(state.stream);
  return state.completed == state.recorded ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  const std::lock_guard hold(runtime_lock());
  if (!streams.events.contains(begin) || !streams.events.contains(end) || !begin->timing ||
      !end->timing) {
    return failed(cudaErrorInvalidResourceHandle);
  }
  const EventState& first = *begin->state;
  const EventState& last = *end->state;
  if (first.completed < first.recorded || last.completed < last.recorded) {
    return failed(cudaErrorNotReady);
  }
  *milliseconds = static_cast<float>(last.milliseconds - first.milliseconds);
  return cudaSuccess;
}
