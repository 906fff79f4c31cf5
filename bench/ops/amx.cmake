add_executable(amx_bench ops/amx_bench.cc)
target_link_libraries(amx_bench PRIVATE trireme_kernels trireme_flags benchmark::benchmark)
