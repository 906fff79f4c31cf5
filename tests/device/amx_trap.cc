#include "amx_trap.h"

#include <ucontext.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <optional>

#include "core/error.h"
#include "kernels/cpu/amx_emulator.h"

namespace trireme::amx {

namespace {

std::atomic<long> instructions{0};

/// The thread's tile registers; nothing until LDTILECFG and after TILERELEASE.
thread_local std::optional<EmulatedTiles> registers;

/// Index into gregs by the number that ModRM and SIB use.
constexpr int greg_of[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                             REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                             REG_R12, REG_R13, REG_R14, REG_R15};

/// A three-byte VEX instruction of map 0F38, as far as AMX uses it (Intel SDM vol. 2, 2.3).
class Instruction {
 public:
  Instruction(const std::uint8_t* code, const greg_t* gregs) : gregs_(gregs) {
    TRIREME_ASSERT(code[0] == 0xc4 && (code[1] & 0x1f) == 2 && (code[2] & 0x84) == 0);
    index_high_ = (code[1] & 0x40) == 0 ? 8 : 0;
    base_high_ = (code[1] & 0x20) == 0 ? 8 : 0;
    prefix = code[2] & 3;
    third = (~code[2] >> 3) & 15;
    opcode = code[3];
    const std::uint8_t modrm = code[4];
    reg = (modrm >> 3) & 7;
    rm = modrm & 7;
    is_register = modrm >> 6 == 3;
    const std::uint8_t* end = is_register ? code + 5 : decode_memory(modrm >> 6, code + 5);
    length = end - code;
  }

  int prefix = 0;  ///< 0: none, 1: 66, 2: F3, 3: F2
  int opcode = 0;
  int reg = 0;    ///< ModRM.reg
  int rm = 0;     ///< ModRM.r/m
  int third = 0;  ///< VEX.vvvv
  bool is_register = false;
  greg_t address = 0;  ///< base + displacement, and the index where the instruction has no stride
  greg_t stride = 0;   ///< the index, scaled
  std::int64_t length = 0;

 private:
  const std::uint8_t* decode_memory(int mod, const std::uint8_t* at) {
    int base = rm;
    if (rm == 4) {
      const std::uint8_t sib = *at++;
      base = sib & 7;
      const int index = ((sib >> 3) & 7) + index_high_;
      if (index != 4) stride = gregs_[greg_of[index]] << (sib >> 6);
    }
    if (mod == 0 && base == 5) {
      const std::int32_t displacement = read32(at);
      at += 4;
      // Without a SIB byte this is relative to the next instruction.
      address = displacement + (rm == 4 ? 0 : reinterpret_cast<greg_t>(at));
      return at;
    }
    address = gregs_[greg_of[base + base_high_]];
    if (mod == 1) address += static_cast<std::int8_t>(*at++);
    if (mod == 2) {
      address += read32(at);
      at += 4;
    }
    return at;
  }

  static std::int32_t read32(const std::uint8_t* at) {
    std::int32_t value = 0;
    std::memcpy(&value, at, sizeof(value));
    return value;
  }

  const greg_t* gregs_;
  int index_high_ = 0;
  int base_high_ = 0;
};

void* pointer(greg_t address) { return reinterpret_cast<void*>(address); }

/// Opcode 49: LDTILECFG (memory), TILEZERO (F2), TILERELEASE.
void configure(const Instruction& i) {
  if (!i.is_register) {
    TRIREME_ASSERT(i.prefix == 0 && i.reg == 0);
    TileConfig config;
    std::memcpy(&config, pointer(i.address + i.stride), sizeof(config));
    registers.emplace(config);
  } else if (i.prefix == 3) {
    registers.value().zero_tile(i.reg);
  } else {
    TRIREME_ASSERT(i.prefix == 0 && i.reg == 0 && i.rm == 0);
    registers.reset();
  }
}

/// TDPBF16PS; TDPBSUD, TDPBSSD.
void multiply(const Instruction& i) {
  TRIREME_ASSERT(i.is_register);
  if (i.opcode == 0x5c) {
    TRIREME_ASSERT(i.prefix == 2);
    registers.value().dot_tiles(i.reg, i.rm, i.third);
  } else {
    TRIREME_ASSERT(i.opcode == 0x5e && i.prefix >= 2);
    registers.value().dot_byte_tiles(i.reg, i.rm, i.third, i.prefix == 3);
  }
}

void execute(const Instruction& i) {
  if (i.opcode == 0x49) {
    configure(i);
  } else if (i.opcode == 0x4b && i.prefix == 3) {
    registers.value().load_tile(i.reg, pointer(i.address), i.stride);
  } else if (i.opcode == 0x4b && i.prefix == 2) {
    registers.value().store_tile(i.reg, pointer(i.address), i.stride);
  } else {
    multiply(i);
  }
}

void on_illegal_instruction(int, siginfo_t*, void* context) {
  greg_t* gregs = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const Instruction instruction(static_cast<const std::uint8_t*>(pointer(gregs[REG_RIP])), gregs);
  execute(instruction);
  gregs[REG_RIP] += instruction.length;
  instructions.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

std::string AmxTrap::why_not() {
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl")) {
    return "the CPU has no AVX-512 to run the code around the tile instructions";
  }
  std::uint32_t eax = 7;
  std::uint32_t ebx = 0;
  std::uint32_t ecx = 0;
  std::uint32_t edx = 0;
  __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  const bool has_tiles = ((edx >> 24) & 1) != 0;
  return has_tiles ? "the CPU has AMX: its instructions do not trap" : "";
}

AmxTrap::AmxTrap() {
  struct sigaction action {};
  action.sa_sigaction = on_illegal_instruction;
  action.sa_flags = SA_SIGINFO;
  TRIREME_ASSERT(sigaction(SIGILL, &action, &before_) == 0);
}

AmxTrap::~AmxTrap() { sigaction(SIGILL, &before_, nullptr); }

long trapped_instructions() { return instructions.load(); }

}  // namespace trireme::amx
