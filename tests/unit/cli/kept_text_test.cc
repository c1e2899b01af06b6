// SPDX-License-Identifier: Apache-2.0
#include "gateway/cli/kept_text.h"

#include "tests/support/catch.h"

using namespace trunkline;

TEST_CASE("the ledger is a table in which an auditor can add up every line", "[cli][D-05]") {
  const auto ledger = json::parse(R"({"days":[{"day":"2026-11-20","carried_in":1,"received":10,"accepted":7,
    "dropped":{"drop_newest":1,"purged":1},"expired":0,"carried_out":2,"dead_lettered":1,"requeued":0,"duplicates":3}],
    "devices":[{"id":"pump-1","carried_in":1,"received":10,"accepted":7,"dropped":{"drop_newest":1,"purged":1},
    "expired":0,"waiting":1,"dead_letters":1,"duplicates":3,"unaccounted":0}],
    "total":{"carried_in":1,"received":10,"accepted":7,"dropped":{"drop_newest":1,"drop_oldest":0,"purged":1},"expired":0,
    "waiting":1,"dead_letters":1,"duplicates":3,"unaccounted":0}})");
  CHECK(
      cli::ledger_text(ledger.as_object()) ==
      "DAY         CARRIED IN  RECEIVED  ACCEPTED  DROPPED  EXPIRED  CARRIED OUT  DEAD-LETTERED  REQUEUED  DUPLICATES\n"
      "2026-11-20  1           10        7         2        0        2            1              0         3\n"
      "\n"
      "DEVICE  CARRIED IN  RECEIVED  ACCEPTED  DROPPED  EXPIRED  WAITING  DEAD LETTERS  DUPLICATES  UNACCOUNTED\n"
      "pump-1  1           10        7         2        0        1        1             3           0\n"
      "total   1           10        7         2        0        1        1             3           0\n"
      "dropped: drop_newest 1, purged 1\n");
}

TEST_CASE("names from outside do not drive the terminal", "[cli][S-01]") {
  json::array letters{{{"id", "1-2"}, {"device", "a\x1b[2J"}, {"description", "x\ny"}}};
  const auto text = cli::dead_letters_text(letters);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find("x?y") != std::string::npos);
  CHECK(cli::dead_letters_text({}) == "no dead letters\n");
}

TEST_CASE("the spool's line says how long there is room without the hub", "[cli][D-06]") {
  const auto spool = json::parse(R"({"waiting":3,"waiting_bytes":2048,"dead_letters":0,"dead_letter_bytes":0,
    "room_bytes":1048576,"cap_bytes":2097152,"disk_bytes":81920,"oldest_age_ms":90000,"sync_time_us":4490,
    "inflow_bytes_per_second":1024,"full_in_s":1022,"fault":"","set_aside":""})");
  CHECK(cli::spool_text(spool.as_object()) ==
        "waiting       3, 2.0 KiB, the oldest for at least 90 s\n"
        "dead letters  0, 0 B\n"
        "room          1.0 MiB for messages, of 2.0 MiB (80.0 KiB on disk now)\n"
        "inflow        1.0 KiB/s; without the hub full in 17 min\n"
        "disk          a synced write took 4.49 ms at start\n");
}
