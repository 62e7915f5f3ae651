// The main of every test program.
#include <gmock/gmock.h>

#include <csignal>

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // as the program does: a peer that goes away is an error value
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
