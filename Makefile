# The short way to everything; CMake does the work. `make` alone lists the targets.
SHELL := /bin/bash
BUILD := build/release

PYARROW := pyarrow==26.0.1  # what docs/formats.md was tested with

.PHONY: help setup build cuda parquet test demo bench unit allunit dist fuzz reliability asan tsan format check clean

help:
	@echo 'make demo     set up, build, run the main job on the bundled model under several plans'
	@echo 'make test     set up, build, run every test'
	@echo 'make build    the program at $(BUILD)/trireme'
	@echo 'make cuda     the CUDA backend beside it, where nvcc is (docs/gpu.md)'
	@echo 'make parquet  Parquet files in and out: Apache Arrow from PyPI, and the plug-in over it'
	@echo 'make bench    the benchmarks that docs/benchmarks.md shows'
	@echo 'make unit     the quick tests (under a minute)     make dist     the tests with real ranks'
	@echo 'make asan     all tests under address and undefined-behaviour sanitizers'
	@echo 'make tsan     the threaded tests under the thread sanitizer'
	@echo 'make fuzz     run each fuzz target for a while (FUZZ_SECONDS=60)'
	@echo 'make reliability   the long form of the fault tests (docs/reliability.md)'
	@echo 'make format   clang-format over all sources         make check    formatting and includes'

setup:
	@scripts/setup.sh

$(BUILD)/build.ninja: | setup
	@cmake --preset release > /dev/null

build: setup $(BUILD)/build.ninja
	@cmake --build --preset release --target trireme

cuda: setup
	@cmake --preset release -D TRIREME_CUDA=ON > /dev/null
	@cmake --build --preset release --target trireme trireme_cuda

parquet: setup
	@python3 -m pip install -q --upgrade --target build/pyarrow '$(strip $(PYARROW))'
	@cmake --preset release -U 'TRIREME_PYARROW*' > /dev/null
	@cmake --build --preset release --target trireme trireme_parquet

all-targets: setup $(BUILD)/build.ninja
	@cmake --build --preset release

test: all-targets
	@scripts/run_tests.sh $(BUILD)

unit: all-targets
	@ctest --test-dir $(BUILD) --output-on-failure -j2 -L 'unit|parity'

allunit: unit

dist: all-targets
	@ctest --test-dir $(BUILD) --output-on-failure -L dist

demo: build
	@scripts/demo.sh $(BUILD)/trireme

bench: all-targets
	@bench/e2e/run.sh $(BUILD)

asan tsan: setup
	@cmake --preset $@ > /dev/null
	@cmake --build --preset $@
	@scripts/run_tests.sh build/$@

fuzz: setup
	@scripts/fuzz.sh $${FUZZ_SECONDS:-60}

reliability: setup $(BUILD)/build.ninja
	@scripts/reliability.sh $(BUILD)

format:
	@git ls-files '*.cc' '*.h' '*.inc' '*.cu' | xargs clang-format -i

check:
	@scripts/check_format.sh
	@scripts/check_includes.sh

clean:
	@rm -rf build
