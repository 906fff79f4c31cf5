#include "comm/single.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

TEST(SingleCommunicator, CollectivesLeaveThingsAsTheyAre) {
  SingleCommunicator one;
  std::vector<float> partial{1, 2, 3};
  std::vector<float> out(3);
  const float* const partials[] = {partial.data()};
  one.barrier();
  one.tree_all_reduce({5, {{0, 5}}}, partials, 3, out.data());
  EXPECT_EQ(out, partial);
  one.tree_all_reduce({5, {{0, 5}}}, partials, 3, partial.data());
  EXPECT_EQ(out, partial);

  Message bytes{std::byte{7}};
  EXPECT_EQ(one.gather(0, bytes), std::vector<Message>{bytes});
  one.broadcast(0, bytes);
  EXPECT_EQ(bytes, Message{std::byte{7}});
  EXPECT_EQ(one.group({0})->size(), 1);
}

TEST(SingleCommunicator, KeepsMessagesToItselfInOrder) {
  SingleCommunicator one;
  EXPECT_FALSE(one.try_receive(0));
  one.send(0, Message{std::byte{1}});
  one.send(0, Message{std::byte{2}});
  EXPECT_EQ(one.receive(0), Message{std::byte{1}});
  Message into(1);
  one.receive_into(0, into);
  EXPECT_EQ(into, Message{std::byte{2}});
}

}  // namespace
}  // namespace trireme
