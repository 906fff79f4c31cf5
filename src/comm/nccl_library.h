// NCCL, loaded when first needed: a machine without it builds and runs all else. Of its C interface
// (nccl.h, stable since version 2.0) here is what we call.
#pragma once

#include <cstddef>
#include <string>

namespace trireme {

struct NcclComm;  ///< ncclComm; handed about by address
struct NcclId {   ///< ncclUniqueId
  char bytes[128];
};
enum class NcclResult : unsigned { success = 0 };          ///< ncclResult_t
enum class NcclType : unsigned { int8 = 0, float32 = 7 };  ///< ncclDataType_t

struct NcclLibrary {
  NcclResult (*get_version)(int* version);
  NcclResult (*get_unique_id)(NcclId* id);
  NcclResult (*comm_init_rank)(NcclComm** comm, int ranks, NcclId id, int rank);
  NcclResult (*comm_destroy)(NcclComm* comm);
  NcclResult (*comm_abort)(NcclComm* comm);
  NcclResult (*comm_get_async_error)(NcclComm* comm, NcclResult* result);
  const char* (*get_error_string)(NcclResult result);
  const char* (*get_last_error)(NcclComm* comm);
  NcclResult (*group_start)();
  NcclResult (*group_end)();
  // `stream` is a cudaStream_t.
  NcclResult (*send)(const void* from, std::size_t count, NcclType type, int peer, NcclComm* comm,
                     void* stream);
  NcclResult (*recv)(void* to, std::size_t count, NcclType type, int peer, NcclComm* comm,
                     void* stream);
  NcclResult (*all_gather)(const void* from, void* to, std::size_t count, NcclType type,
                           NcclComm* comm, void* stream);
};

/// Whether TRIREME_NCCL=0 asks to do without.
bool nccl_is_off();

/// Loads libnccl.so.2, or the file that TRIREME_NCCL names. Null, and `why`, if that does not work.
const NcclLibrary* nccl_library(std::string& why);

}  // namespace trireme
