// The compiler's coroutines do what the language says. Debian's g++ 12.2 fails most of these tests, silently in
// ordinary code: bodies of awaiting conditions are not run, temporaries are copied bit by bit and destroyed twice. The
// patterns are written as plainly as anybody would write them; naming a value first would hide the fault.
#include <gtest/gtest.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace opi {
namespace {

namespace asio = boost::asio;
template <class T = void>
using Task = asio::awaitable<T>;

/// How many objects live, and whether one was ever destroyed twice, moved without its constructor, or used when dead.
struct Ledger {
  int alive = 0;
  int made = 0;
  int broken = 0;
};

/// Knows its own address, so that a bitwise copy gives itself away. Owns memory, so that ASan sees what counts miss.
class Tracked {
 public:
  explicit Tracked(Ledger& ledger, int value) : ledger_(&ledger), self_(this), value_(std::make_unique<int>(value)) {
    enter();
  }
  Tracked(const Tracked& other) : ledger_(other.ledger_), self_(this), value_(std::make_unique<int>(other.value())) {
    enter();
  }
  Tracked(Tracked&& other) noexcept : ledger_(other.ledger_), self_(this), value_(std::move(other.value_)) { enter(); }
  Tracked& operator=(const Tracked&) = delete;
  Tracked& operator=(Tracked&&) = delete;
  ~Tracked() {
    if (self_ != this) ++ledger_->broken;
    self_ = nullptr;
    --ledger_->alive;
  }

  int value() const {
    if (self_ != this) ++ledger_->broken;
    return value_ ? *value_ : -1;
  }
  Task<int> later() const;

 private:
  void enter() noexcept {
    ++ledger_->alive;
    ++ledger_->made;
  }
  Ledger* ledger_;
  Tracked* self_;
  std::unique_ptr<int> value_;
};

struct Pair {
  Tracked first;
  Tracked second;

  Task<int> sum() const { co_return first.value() + second.value(); }
};

/// A real suspension: the coroutine is resumed by the event loop.
Task<> suspend() {
  co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
}

Task<bool> later_bool(bool value) {
  co_await suspend();
  co_return value;
}

Task<int> later_int(int value) {
  co_await suspend();
  co_return value;
}

Task<Tracked> later_tracked(Ledger* ledger, int value) {
  co_await suspend();
  co_return Tracked{*ledger, value};
}

Task<int> Tracked::later() const {
  co_await suspend();
  co_return value();
}

Task<int> consume(Tracked tracked) {
  co_await suspend();
  co_return tracked.value();
}

Task<int> consume_pair(Pair pair) {
  co_await suspend();
  co_return pair.first.value() * 10 + pair.second.value();
}

Task<int> consume_list(std::initializer_list<Tracked> list) {
  int sum = 0;
  for (const Tracked& each : list) sum += each.value();
  co_return sum;
}

Task<int> consume_vector(std::vector<Tracked> list) {
  co_await suspend();
  int sum = 0;
  for (const Tracked& each : list) sum += each.value();
  co_return sum;
}

template <class Function>
Task<int> call(Function function) {
  co_await suspend();
  co_return function();
}

/// Runs a coroutine to its end and returns what it returned, or throws what it threw.
template <class T>
T run(Task<T> task) {
  asio::io_context loop;
  std::optional<T> result;
  std::exception_ptr thrown;
  asio::co_spawn(loop, std::move(task), [&](std::exception_ptr error, T value) {
    thrown = std::move(error);
    result.emplace(std::move(value));
  });
  loop.run();
  if (thrown) std::rethrow_exception(thrown);
  return std::move(*result);
}

class Toolchain : public testing::Test {
 protected:
  void TearDown() override {
    EXPECT_EQ(ledger_.alive, 0) << "objects leaked or were destroyed twice";
    EXPECT_EQ(ledger_.broken, 0) << "objects were copied bit by bit";
  }
  Ledger ledger_;
};

// In each of these four the outermost block declares no variable: that is what broke the frame.

Task<int> if_await(bool value) {
  if (co_await later_bool(value)) co_return 1;
  co_return 2;
}

Task<int> if_not_await(bool value) {
  if (!co_await later_bool(value)) co_return 1;
  co_return 2;
}

Task<int> if_both(bool left, bool right) {
  if (co_await later_bool(left) && co_await later_bool(right)) co_return 1;
  co_return 2;
}

Task<int> if_either(bool left, bool right) {
  if (co_await later_bool(left) || !co_await later_bool(right)) co_return 1;
  co_return 2;
}

TEST_F(Toolchain, IfWhoseConditionAwaitsTakesTheRightBranch) {
  for (const bool left : {false, true}) {
    EXPECT_EQ(run(if_await(left)), left ? 1 : 2);
    EXPECT_EQ(run(if_not_await(left)), left ? 2 : 1);
    for (const bool right : {false, true}) {
      EXPECT_EQ(run(if_both(left, right)), left && right ? 1 : 2);
      EXPECT_EQ(run(if_either(left, right)), left || !right ? 1 : 2);
    }
  }
}

Task<int> while_await(int* counter) {
  while (co_await later_int(*counter) < 5) ++*counter;
  co_return *counter;
}

Task<int> do_await(int* counter) {
  do {
    ++*counter;
  } while (!co_await later_bool(*counter >= 5));
  co_return *counter;
}

Task<int> for_await(int* counter) {
  for (; co_await later_int(*counter) < 5; *counter += co_await later_int(1)) {
  }
  co_return *counter;
}

TEST_F(Toolchain, LoopsWhoseConditionAwaitsRunTheirBodyAsOftenAsTheySay) {
  int counter = 0;
  EXPECT_EQ(run(while_await(&counter)), 5);
  counter = 0;
  EXPECT_EQ(run(do_await(&counter)), 5);
  counter = 0;
  EXPECT_EQ(run(for_await(&counter)), 5);
}

Task<int> switch_await(int value) {
  switch (co_await later_int(value)) {
    case 1: co_return 10;
    case 2: co_return co_await later_int(20);
    default: co_return 30;
  }
}

TEST_F(Toolchain, SwitchWhoseConditionAwaitsTakesTheRightCase) {
  EXPECT_EQ(run(switch_await(1)), 10);
  EXPECT_EQ(run(switch_await(2)), 20);
  EXPECT_EQ(run(switch_await(3)), 30);
}

Task<int> capturing_argument(Ledger* ledger) {
  const Tracked tracked{*ledger, 7};
  co_return co_await call([tracked] { return tracked.value(); }) + co_await call([tracked] { return tracked.value(); });
}

TEST_F(Toolchain, TemporaryLambdaWithCapturesInAnAwaitedCallIsDestroyedOnce) {
  EXPECT_EQ(run(capturing_argument(&ledger_)), 14);
}

Task<int> tracked_argument(Ledger* ledger) {
  co_return co_await consume(Tracked{*ledger, 3}) + co_await Tracked{*ledger, 4}.later();
}

TEST_F(Toolchain, TemporaryObjectInAnAwaitedCallLivesUntilItsEnd) {
  EXPECT_EQ(run(tracked_argument(&ledger_)), 7);
}

Task<int> aggregate_argument(Ledger* ledger) {
  const int plain = co_await consume_pair(Pair{Tracked{*ledger, 1}, Tracked{*ledger, 2}});
  const int designated = co_await consume_pair({.first = Tracked{*ledger, 3}, .second = Tracked{*ledger, 4}});
  const int method = co_await Pair{Tracked{*ledger, 5}, Tracked{*ledger, 6}}.sum();
  co_return plain * 10'000 + designated * 100 + method;
}

TEST_F(Toolchain, TemporaryAggregateInAnAwaitedCallIsMovedByItsConstructors) {
  EXPECT_EQ(run(aggregate_argument(&ledger_)), 123'411);
}

Task<int> aggregate_of_awaits(Ledger* ledger) {
  Pair pair{co_await later_tracked(ledger, 1), co_await later_tracked(ledger, 2)};
  auto [first, second] = Pair{co_await later_tracked(ledger, 3), co_await later_tracked(ledger, 4)};
  auto owned = std::make_unique<Pair>(Pair{co_await later_tracked(ledger, 5), co_await later_tracked(ledger, 6)});
  co_return pair.first.value() * 100'000 + pair.second.value() * 10'000 + first.value() * 1'000 + second.value() * 100 +
      owned->first.value() * 10 + owned->second.value();
}

TEST_F(Toolchain, AggregateMadeOfAwaitedValuesOwnsEachOnce) {
  EXPECT_EQ(run(aggregate_of_awaits(&ledger_)), 123'456);
}

Task<int> ternary(Ledger* ledger, bool which) {
  const int inside = co_await consume(which ? Tracked{*ledger, 1} : Tracked{*ledger, 2});
  const Tracked outside = which ? co_await later_tracked(ledger, 3) : Tracked{*ledger, 4};
  co_return inside * 10 + outside.value();
}

TEST_F(Toolchain, ConditionalOperatorAroundAndInsideAnAwaitMakesOneOfTheTwo) {
  EXPECT_EQ(run(ternary(&ledger_, true)), 13);
  EXPECT_EQ(run(ternary(&ledger_, false)), 24);
}

Task<int> braced_list(Ledger* ledger) {
  const int list = co_await consume_list({Tracked{*ledger, 1}, Tracked{*ledger, 2}});
  const int vector = co_await consume_vector({Tracked{*ledger, 3}, Tracked{*ledger, 4}});
  co_return list * 10 + vector;
}

TEST_F(Toolchain, BracedListAsArgumentOfAnAwaitedCallLivesUntilItsEnd) {
  EXPECT_EQ(run(braced_list(&ledger_)), 37);
}

Task<int> throws_after(Tracked tracked) {
  co_await suspend();
  if (tracked.value() != 0) throw std::runtime_error("stop");
  co_return 0;
}

Task<int> catches(Ledger* ledger) {
  std::string seen;
  try {
    co_await throws_after(Tracked{*ledger, 1});
  } catch (const std::runtime_error& error) {
    seen = error.what();
  }
  co_return co_await later_int(seen == "stop" ? 1 : 2);
}

TEST_F(Toolchain, ExceptionThroughAnAwaitDestroysTheFrameOnce) {
  EXPECT_EQ(run(catches(&ledger_)), 1);
  EXPECT_THROW(run(throws_after(Tracked{ledger_, 1})), std::runtime_error);
}

TEST_F(Toolchain, CoroutineThatIsNeverAwaitedDestroysItsParameters) {
  {
    const Task<int> dropped = consume(Tracked{ledger_, 1});
  }
  EXPECT_EQ(ledger_.alive, 0);
  EXPECT_GT(ledger_.made, 0);
}

TEST_F(Toolchain, CoroutineThatIsSuspendedWhenItsLoopGoesDestroysItsFrame) {
  {
    asio::io_context loop;
    asio::co_spawn(loop, consume(Tracked{ledger_, 1}), [](const std::exception_ptr&, int) {});
    loop.run_one();
    EXPECT_GT(ledger_.alive, 0);
  }
  EXPECT_EQ(ledger_.alive, 0);
}

}  // namespace
}  // namespace opi
