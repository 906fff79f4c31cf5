// What streams, events and captures are made of. All of it is guarded by runtime_lock().
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "emulation/internal.h"

namespace trireme::cuda::emulation {

struct Capture;

/// How far each stream of a capture is known to have come: what a wait for an event joins.
using Clock = std::map<cudaStream_t, int>;

struct EventState {
  std::uint64_t recorded = 0;   ///< how often the host has asked for it
  std::uint64_t completed = 0;  ///< the latest of those that has happened
  double milliseconds = 0;      ///< when
  cudaStream_t stream = nullptr;
  Capture* capture = nullptr;  ///< recorded while capturing
  Clock clock;
};

struct Operation {
  std::function<void()> run;
  // Runs only after the version `version` of `waits_for`, which `source` brings.
  std::shared_ptr<EventState> waits_for;
  std::uint64_t version = 0;
  cudaStream_t source = nullptr;
};

/// An operation of a graph: runs once every stream has come as far as `after` says.
struct Node {
  std::function<void()> run;
  cudaStream_t stream = nullptr;
  Clock after;
};
using Nodes = std::vector<Node>;

struct Capture {
  cudaStream_t origin = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
  bool invalid = false;
  Nodes nodes;
  std::map<cudaStream_t, Clock> clocks;  ///< of the streams that take part
};

}  // namespace trireme::cuda::emulation

struct CUstream_st {
  int device = 0;
  bool blocking = true;
  trireme::cuda::emulation::Capture* capture = nullptr;
  std::deque<trireme::cuda::emulation::Operation> queue;
};

struct CUevent_st {
  std::shared_ptr<trireme::cuda::emulation::EventState> state =
      std::make_shared<trireme::cuda::emulation::EventState>();
  int device = 0;
  bool timing = true;
};

struct CUgraph_st {
  std::shared_ptr<const trireme::cuda::emulation::Nodes> nodes;
};

struct CUgraphExec_st {
  std::shared_ptr<const trireme::cuda::emulation::Nodes> nodes;
};

namespace trireme::cuda::emulation {

struct Streams {
  std::map<int, std::unique_ptr<CUstream_st>> legacy;  ///< the null stream of each device
  std::set<cudaStream_t> created;
  std::set<cudaEvent_t> events;
  std::vector<std::unique_ptr<Capture>> captures;
};

extern Streams streams;

/// Null stands for the legacy stream of the current device; null is returned for what is no stream.
cudaStream_t resolved(cudaStream_t stream);
/// Puts `operation` into the stream's queue, or into the graph that it is captured for.
cudaError_t put(cudaStream_t stream, Operation operation);

// graphs.cc

/// Notes what `stream`, which is being captured, is to do next.
void add_node(cudaStream_t stream, std::function<void()> run);
void end_capture(Capture* capture);
/// `stream` waits for an event of a capture, and so takes part in it.
cudaError_t join(cudaStream_t stream, const EventState& event);

}  // namespace trireme::cuda::emulation
