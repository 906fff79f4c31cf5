#include "api/agreement.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

Identity rank_on(const std::string& host, std::vector<std::string> isas) {
  return {.host = host,
          .version = "1.0",
          .flags = {"-tp 2", "--dtype auto"},
          .model = "/models/x/config.json",
          .config = "abc",
          .isas = std::move(isas),
          .local_ranks = 2,
          .memory = 100};
}

const std::vector<std::string> old_host{"reference", "avx2"};
const std::vector<std::string> new_host{"reference", "avx2", "avx512", "amx"};

std::string failure(const std::vector<Identity>& ranks) {
  const Agreement agreement = agree(ranks);
  return agreement.failure ? agreement.failure->message : "";
}

TEST(Agreement, TakesTheBestThatAllHostsHave) {
  EXPECT_EQ(agree({rank_on("a", new_host)}).isa, "amx");
  const Agreement unlike = agree({rank_on("a", new_host), rank_on("b", old_host)});
  EXPECT_FALSE(unlike.failure);
  EXPECT_EQ(unlike.isa, "avx2");
  EXPECT_EQ(agree({rank_on("a", {"reference"}), rank_on("b", new_host)}).isa, "reference");
}

TEST(Agreement, TakesWhatIsAskedForOfAll) {
  Identity a = rank_on("a", new_host), b = rank_on("b", new_host);
  a.isa = b.isa = "avx2";
  EXPECT_EQ(agree({a, b}).isa, "avx2");
  b.isa.clear();
  b.isas = old_host;  // whose free choice is the same
  EXPECT_EQ(agree({a, b}).isa, "avx2");
  EXPECT_EQ(agree({b, a}).isa, "avx2");
}

TEST(Agreement, RefusesUnlikeInstructionSets) {
  Identity a = rank_on("a", new_host), b = rank_on("b", new_host);
  b.isa = "avx2";
  EXPECT_EQ(failure({a, a, b}),
            "rank 0 on a computes with amx (chosen), rank 2 on b with avx2 (given), but all ranks "
            "need one instruction set for the same bytes; give all of them --isa NAME or "
            "TRIREME_ISA (with Open MPI: mpirun -x TRIREME_ISA=NAME). All have amx");
}

TEST(Agreement, RefusesOtherVersionsFlagsAndModels) {
  const Identity a = rank_on("a", new_host);
  Identity b = rank_on("b", new_host);
  b.version = "1.1";
  EXPECT_EQ(
      failure({a, b}),
      "rank 0 on a runs trireme 1.0, rank 1 on b 1.1; install the same version on every host");
  b = a;
  b.flags[1] = "--dtype float32";
  EXPECT_EQ(failure({a, b}),
            "rank 0 on a has --dtype auto, rank 1 on a --dtype float32; start all ranks with the "
            "same flags");
  b = a;
  b.config = "def";
  EXPECT_EQ(failure({a, b}),
            "rank 0 on a reads /models/x/config.json (hash abc), rank 1 on a /models/x/config.json "
            "(hash def); give every host the same model");
}

TEST(Agreement, NamesTheRankThatCannotTakePart) {
  const Identity a = rank_on("a", new_host);
  Identity b = rank_on("b", new_host);
  b.failure = {ErrorKind::input, "there is no model"};
  EXPECT_EQ(failure({a, b}), "rank 1 on b: there is no model");
  EXPECT_EQ(failure({b, b}), "there is no model") << "what all say is said once";
  EXPECT_EQ(agree({a, b}).failure->kind, ErrorKind::input);
}

TEST(Agreement, LooksAtTheFullestAndAtTheSmallestHost) {
  Identity a = rank_on("a", new_host), b = rank_on("b", new_host);
  b.local_ranks = 3;
  b.memory = 50;
  const Hosts hosts = agree({a, b, b, b}).hosts;
  EXPECT_EQ(hosts.ranks_per_host, 3);
  EXPECT_EQ(hosts.memory, 50);
}

TEST(Identity, SurvivesTheTrip) {
  Identity a = rank_on("a", new_host);
  a.isa = "avx2";
  a.failure = {ErrorKind::resource, "no memory"};
  const Identity b = decode_identity(encode(a));
  EXPECT_EQ(b.host, "a");
  EXPECT_EQ(b.flags, a.flags);
  EXPECT_EQ(b.isa, "avx2");
  EXPECT_EQ(b.isas, a.isas);
  EXPECT_EQ(b.memory, 100);
  EXPECT_EQ(b.failure->kind, ErrorKind::resource);
  EXPECT_EQ(b.failure->message, "no memory");
}

}  // namespace
}  // namespace trireme
