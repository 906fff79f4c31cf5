#include "cli/observation.h"

namespace trireme {

void add_observation(CLI::App& app, ObserveOptions& options) {
  app.add_option("--report", options.report,
                 "At the end, a page on how the job went: timeline, utilisation, errors")
      ->type_name("FILE.html");
  app.add_option("--trace", options.trace, "At the end, what every rank did when, for Perfetto")
      ->type_name("FILE.json");
  app.add_option("--metrics", options.metrics,
                 "While it runs, Prometheus's metrics on http://HOST:PORT/metrics [127.0.0.1]")
      ->type_name("[HOST:]PORT");
  app.add_flag("-q,--quiet", options.quiet, "Say only what went wrong, and one line at the end");
}

}  // namespace trireme
