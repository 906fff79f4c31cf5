// How fast a plan would be on this host, from a rehearsal.
#pragma once

#include "models/model.h"
#include "trireme/options.h"
#include "trireme/plan.h"

namespace trireme {

/// Fills in `report.speed`, or `report.no_speed` where there is no room to measure in. The rest of
/// the report must be there. Cuts `model` down: nothing else can be done with it afterwards.
void predict_speed(PlanReport& report, const Options& options, Model& model);

}  // namespace trireme
