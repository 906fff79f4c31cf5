// What comm/nccl_library.h says of NCCL's interface against NCCL's own header, where there is one.
#include <nccl.h>

#include <type_traits>

#include "comm/nccl_library.h"

namespace trireme {
namespace {

static_assert(sizeof(NcclId) == sizeof(ncclUniqueId) && alignof(NcclId) == alignof(ncclUniqueId));
static_assert(sizeof(NcclResult) == sizeof(ncclResult_t) &&
              sizeof(NcclType) == sizeof(ncclDataType_t));
static_assert(static_cast<unsigned>(NcclResult::success) == ncclSuccess);
static_assert(static_cast<unsigned>(NcclType::int8) == ncclInt8);
static_assert(static_cast<unsigned>(NcclType::float32) == ncclFloat32);

/// A type of ours as NCCL spells it.
template <typename T>
struct Theirs {
  using Type = T;
};
template <>
struct Theirs<NcclComm*> {
  using Type = ncclComm_t;
};
template <>
struct Theirs<NcclComm**> {
  using Type = ncclComm_t*;
};
template <>
struct Theirs<NcclId> {
  using Type = ncclUniqueId;
};
template <>
struct Theirs<NcclId*> {
  using Type = ncclUniqueId*;
};
template <>
struct Theirs<NcclResult> {
  using Type = ncclResult_t;
};
template <>
struct Theirs<NcclResult*> {
  using Type = ncclResult_t*;
};
template <>
struct Theirs<NcclType> {
  using Type = ncclDataType_t;
};
template <>
struct Theirs<void*> {  // last of send's parameters and the like
  using Type = cudaStream_t;
};
template <typename Result, typename... Parameters>
struct Theirs<Result (*)(Parameters...)> {
  using Type = typename Theirs<Result>::Type (*)(typename Theirs<Parameters>::Type...);
};

template <auto Member>
struct Declared;
template <typename Function, Function NcclLibrary::*Member>
struct Declared<Member> {
  using Type = typename Theirs<Function>::Type;
};
template <auto Member, auto* Function>
constexpr bool same = std::is_same_v<typename Declared<Member>::Type, decltype(Function)>;

static_assert(same<&NcclLibrary::get_version, ncclGetVersion>);
static_assert(same<&NcclLibrary::get_unique_id, ncclGetUniqueId>);
static_assert(same<&NcclLibrary::comm_init_rank, ncclCommInitRank>);
static_assert(same<&NcclLibrary::comm_destroy, ncclCommDestroy>);
static_assert(same<&NcclLibrary::comm_abort, ncclCommAbort>);
static_assert(same<&NcclLibrary::comm_get_async_error, ncclCommGetAsyncError>);
static_assert(same<&NcclLibrary::get_error_string, ncclGetErrorString>);
static_assert(same<&NcclLibrary::get_last_error, ncclGetLastError>);
static_assert(same<&NcclLibrary::group_start, ncclGroupStart>);
static_assert(same<&NcclLibrary::group_end, ncclGroupEnd>);
static_assert(same<&NcclLibrary::send, ncclSend>);
// The buffers that these write are void*, too.
static_assert(std::is_invocable_v<decltype(&ncclRecv), void*, std::size_t, ncclDataType_t, int,
                                  ncclComm_t, cudaStream_t>);
static_assert(std::is_invocable_v<decltype(&ncclAllGather), const void*, void*, std::size_t,
                                  ncclDataType_t, ncclComm_t, cudaStream_t>);

}  // namespace
}  // namespace trireme
