// Writing keys and values to the paged cache, alone or together with the rotation before it.
//
// On a GPU K and V are both [block][kv_head][32 slots][head_stride] in the cache's dtype. What no
// token has written is zero: the rest of a block from its first write on, and the padding between
// head_dim and head_stride.
#pragma once

#include "kernels/cuda/context.h"

namespace trireme::cuda {

void kv_write(Context& context, const KvWriteArgs& args);

/// rope, then kv_write, with the bits of one after the other. `write.k` points to columns of
/// `rope.x`: its heads are the rope's last kv_heads; `write.sequences` hold each row of
/// `rope.positions` once, and rope.head_dim is the cache's.
void rope_kv_write(Context& context, const RopeArgs& rope, const KvWriteArgs& write);

}  // namespace trireme::cuda
