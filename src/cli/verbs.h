// The verbs of the program. Each is a main function of its own: argv[0] is the verb's name.
#pragma once

namespace trireme {

int run_main(int argc, char** argv);
int batch_main(int argc, char** argv);
int worker_main(int argc, char** argv);
int score_main(int argc, char** argv);
int embed_main(int argc, char** argv);
int classify_main(int argc, char** argv);
int fill_mask_main(int argc, char** argv);
int translate_main(int argc, char** argv);
int plan_main(int argc, char** argv);
int launch_main(int argc, char** argv);
int doctor_main(int argc, char** argv);
int bench_main(int argc, char** argv);
int config_main(int argc, char** argv);
int env_main(int argc, char** argv);
int test_main(int argc, char** argv);
int estimate_memory_main(int argc, char** argv);

}  // namespace trireme
