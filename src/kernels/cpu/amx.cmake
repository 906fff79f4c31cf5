# The AMX backend. Only the kernels over the real tiles are compiled for another instruction set than
# the rest: they are reached after a check at run time, and share no inline function with it.
target_sources(trireme_kernels PRIVATE
  cpu/amx_backend.cc cpu/amx_emulated.cc cpu/amx_emulator.cc cpu/amx_hardware.cc
  cpu/amx_linear.cc cpu/amx_status.cc)
set_source_files_properties(cpu/amx_hardware.cc PROPERTIES COMPILE_OPTIONS
  "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mprefer-vector-width=512;-mamx-tile;-mamx-bf16;-mamx-int8")
