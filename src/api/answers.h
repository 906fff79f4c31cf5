// Results on their way from the driver that has them to the first rank, as bytes.
#pragma once

#include "comm/communicator.h"
#include "trireme/result.h"

namespace trireme {

Message encode(const Result& result);
Message encode(const Score& score);
Message encode(const Embedding& embedding);
Message encode(const Classification& classification);
Message encode(const Choice& choice);
Message encode(const MaskFill& fill);
Message encode(const std::vector<float>& values);

/// Throw Error(peer_lost) for bytes that nothing was encoded to.
void decode(const Message& bytes, Result& result);
void decode(const Message& bytes, Score& score);
void decode(const Message& bytes, Embedding& embedding);
void decode(const Message& bytes, Classification& classification);
void decode(const Message& bytes, Choice& choice);
void decode(const Message& bytes, MaskFill& fill);
void decode(const Message& bytes, std::vector<float>& values);

}  // namespace trireme
