// CUDA in plain C++, for machines without a GPU: what kernels/cuda/device_code.h needs, with traps
// for the mistakes that a GPU forgives until it does not. See README.md.
#pragma once

#include "emulation/device.h"
#include "emulation/fragments.h"
#include "emulation/launch.h"
#include "emulation/runtime.h"
#include "emulation/types.h"
