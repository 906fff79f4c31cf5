// What GPUs exchange over NVLink, PCIe or the network, by NCCL.
#pragma once

#include <cstdint>
#include <memory>

#include "comm/communicator.h"
#include "comm/device_collectives.h"
#include "core/device_stream.h"

namespace trireme {

/// `sums`: memory for them is set aside and every two GPUs are connected at once. `messages`: only
/// who sends to whom is connected, when it first does; tree_all_reduce may not be called.
enum class NcclUse { messages, sums };

/// No result depends on them.
struct NcclSizes {
  /// Floats of other ranks that are at hand at a time; longer sums are taken in chunks. 64
  /// MiB, reckoned and not measured: so that starting a chunk takes a tenth of its time.
  std::int64_t area_floats = std::int64_t{16} << 20;
  /// Floats whose transfer is worth one more exchange: not measured either.
  std::int64_t worth_an_exchange = std::int64_t{128} << 10;
};

/// Collective over `ranks`, which is needed until the end, as is `stream`. Null on all of them
/// where NCCL cannot be used or need not be: `stream` is null (on all ranks, or none), there is one
/// rank, two ranks share a GPU, a rank lacks NCCL or has another version (the first rank says so,
/// once), or TRIREME_NCCL=0 is set.
/// Throws Error(resource) where NCCL fails, Error(peer_lost) when a rank is lost.
///
/// No call waits for the GPU, and all but the first use of a connection can be recorded. A call
/// throws Error(peer_lost) after NCCL has noticed that a connection broke. Work for which another
/// rank is missing never ends by itself: while the host waits for the stream (its watchers), this
/// looks after the other ranks and ends the wait by an Error(peer_lost) when the communicator knows
/// one to be lost; the destructor then ends the work.
std::unique_ptr<DeviceCollectives> connect_nccl(Communicator& ranks, const DeviceStream* stream,
                                                NcclUse use, NcclSizes sizes = {});

}  // namespace trireme
