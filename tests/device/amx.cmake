trireme_test(device_amx
  SOURCES amx_backend_test.cc amx_emulator_test.cc amx_integer_test.cc amx_linear_test.cc
    amx_trap.cc
  LINKS trireme_kernels LABELS device)
