// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/completion.h"

#include <string>
#include <vector>

#include "tests/support/catch.h"

namespace trunkline {
namespace {

struct Answer {
  std::string text;
  static Answer abandoned() { return {"abandoned"}; }
};

}  // namespace

TEST_CASE("a completion answers once with what it was given", "[base]") {
  std::vector<std::string> answers;
  {
    Completion<Answer> completion([&](Answer answer) { answers.push_back(answer.text); });
    CHECK(completion);
    completion({"done"});
    CHECK(!completion);
  }
  CHECK(answers == std::vector<std::string>{"done"});
}

TEST_CASE("a completion that is dropped answers that it was abandoned", "[base]") {
  std::vector<std::string> answers;
  const auto record = [&](Answer answer) { answers.push_back(answer.text); };
  { Completion<Answer> completion(record); }
  CHECK(answers.size() == 1);
  {
    Completion<Answer> first(record);
    Completion<Answer> second(std::move(first));
    CHECK(!first);
    CHECK(second);
  }
  CHECK(answers.size() == 2);
  Completion<Answer> replaced(record);
  replaced = Completion<Answer>([](Answer) {});
  CHECK(answers.size() == 3);
  CHECK(answers.back() == "abandoned");
}

TEST_CASE("a completion that nobody waits for may be dropped", "[base]") {
  Completion<Answer> nobody;
  CHECK(!nobody);
  nobody = Completion<Answer>();
}

TEST_CASE("a completion may be destroyed from within its own answer", "[base]") {
  auto completion = std::make_unique<Completion<Answer>>();
  int calls = 0;
  *completion = Completion<Answer>([&](Answer) {
    ++calls;
    completion.reset();
  });
  (*completion)({"done"});
  CHECK(calls == 1);
  CHECK(!completion);
}

}  // namespace trunkline
