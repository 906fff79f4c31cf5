// `trireme doctor`: what this machine has, and what to do about what is missing.
#include "trireme/doctor.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace trireme {

namespace {

struct Look {
  const char* name;
  Colour colour;
  const char* mark;  ///< in UTF-8
  const char* plain;
};

Look look_of(Finding::Status status) {
  switch (status) {
    case Finding::Status::good:
      return {"good", Colour::green, "\u2713", "ok  "};
    case Finding::Status::note:
      return {"note", Colour::blue, "\u00b7", "-   "};
    case Finding::Status::warning:
      return {"warning", Colour::yellow, "!", "warn"};
    case Finding::Status::problem:
      return {"problem", Colour::red, "\u2717", "FAIL"};
  }
  return {"note", Colour::blue, "\u00b7", "-   "};
}

std::string text_of(const DoctorReport& report, const Terminal& terminal) {
  std::string text;
  std::string topic;
  for (const Finding& finding : report.findings) {
    if (finding.topic != topic) {
      text += (topic.empty() ? "" : "\n") + paint(terminal, Colour::bold, finding.topic) + "\n";
      topic = finding.topic;
    }
    const Look look = look_of(finding.status);
    text += fmt::format("  {} {:<22} {}\n",
                        paint(terminal, look.colour, terminal.utf8 ? look.mark : look.plain),
                        finding.name, finding.value);
    if (!finding.advice.empty()) {
      text += fmt::format("  {:<{}} {:<22} {} {}\n", "", terminal.utf8 ? 1 : 4, "",
                          terminal.utf8 ? "\u2192" : "->", finding.advice);
    }
  }
  return text + "\n" +
         (report.usable ? "Trireme can run here.\n" : "Trireme cannot run here: see above.\n");
}

std::string json_of(const DoctorReport& report) {
  using Json = nlohmann::ordered_json;
  Json findings = Json::array();
  for (const Finding& finding : report.findings) {
    findings.push_back({{"topic", finding.topic},
                        {"name", finding.name},
                        {"status", look_of(finding.status).name},
                        {"value", finding.value},
                        {"advice", finding.advice}});
  }
  const Json json = {{"usable", report.usable}, {"findings", std::move(findings)}};
  constexpr int indent = 2;
  return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

int doctor_main(int argc, char** argv) {
  Arguments arguments("doctor",
                      "Looks at cores, instruction sets, memory, NUMA, GPUs, MPI and versions, and "
                      "says what to do\nabout what is missing.",
                      {"trireme doctor", "trireme doctor --json | jq .usable"});
  bool json = false;
  arguments.add_exit_code(0, "Trireme can run here");
  arguments.add_exit_code(2, "wrong usage of a flag");
  arguments.add_exit_code(4, "Trireme cannot run here");
  arguments.app().add_flag("--json", json, "For programs: one JSON object");
  if (!arguments.parse(argc, argv)) return 0;
  const DoctorReport report = examine_machine();
  print_out(json ? json_of(report) : text_of(report, look_at_terminal(STDOUT_FILENO)));
  return report.usable ? 0 : exit_code(ErrorKind::resource);
}

}  // namespace trireme
