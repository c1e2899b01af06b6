// SPDX-License-Identifier: Apache-2.0
// Random events against store, spool and multiplexer together, checked against a small reference. The seed is printed;
// set TRUNKLINE_SEED to replay one and TRUNKLINE_MODEL_EVENTS for a longer run.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <set>

#include "gateway/base/crypto.h"
#include "gateway/base/log.h"
#include "gateway/pipeline/live_feed.h"
#include "gateway/pipeline/multiplexer.h"
#include "gateway/pipeline/store.h"
#include "tests/support/catch.h"
#include "tests/support/fake_uplink.h"
#include "tests/support/temporary_folder.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// The reference: what may be sent next, what must never get lost, and what the books must say. All it knows of a
// message is its state.
class Reference {
 public:
  // perhaps: a crash left open whether the spool has it. doomed: in flight, and a limit has removed it meanwhile.
  enum class State { waiting, in_flight, doomed, perhaps };

  void stamped(const DeviceId& device, Position position) {
    messages_[device][position] = State::waiting;
    ++books_[device].received;
  }
  void requeued(const DeviceId& device, Position position) {
    messages_[device][position] = State::waiting;
    ++books_[device].requeued;
  }
  // In a commit of its own.
  void purged(const DeviceId& device) {
    books_[device].drop(Drop::purged);
    committed_books_[device].drop(Drop::purged);
  }
  void removed(const Removal& removal) {
    removed_[removal.position] = removal.why;
    books_[removal.device].drop(removal.why);
  }
  // From now on the multiplexer knows that it was removed.
  void told_removed(const Removal& removal) {
    auto& mine = messages_[removal.device];
    const auto found = mine.find(removal.position);
    if (found == mine.end()) return;
    if (found->second == State::in_flight) {
      found->second = State::doomed;
    } else {
      mine.erase(found);
    }
  }
  void told_safe(const DeviceId& device, Position position) { safe_[device].insert(position); }

  void sent(const DeviceId& device, Position position) {
    auto& mine = messages_[device];
    REQUIRE(mine.contains(position));  // stamped, and not done
    REQUIRE(mine[position] != State::in_flight);
    REQUIRE(mine[position] != State::doomed);
    for (auto at = mine.begin(); at->first < position;) {
      REQUIRE(at->second != State::waiting);  // D-03: nothing overtakes it
      // Perhaps: the spool is read in order, so it was not there.
      at = at->second == State::perhaps ? mine.erase(at) : std::next(at);
    }
    mine[position] = State::in_flight;
  }
  void released(const DeviceId& device, Position position) {
    auto& mine = messages_[device];
    if (mine.at(position) == State::doomed) {
      mine.erase(position);
    } else {
      mine[position] = State::waiting;
    }
  }
  void arrived(const DeviceId& device, Position position) { hub_[device].insert(position); }
  void done(const DeviceId& device, Position position, bool accepted) {
    auto& mine = messages_[device];
    REQUIRE((mine.at(position) == State::in_flight || mine.at(position) == State::doomed));
    mine.erase(position);
    uncommitted_.emplace_back(device, position);
    auto& book = books_[device];
    const auto gone = removed_.find(position);
    if (gone != removed_.end() && !accepted) return;
    if (gone != removed_.end()) book.drop(gone->second, -1);
    ++(accepted ? book.accepted : book.dead_lettered);
  }
  // The store has committed all it was given; its books are exactly ours.
  void committed(const Books& books) {
    uncommitted_.clear();
    committed_books_ = books_;
    for (const auto& [device, tally] : actual(books)) {
      INFO("device " << device.text());
      REQUIRE(tally == books_[device]);
    }
    balanced(books);
  }
  // A crash may lose what was accepted without being written, both sides of it together (D-05).
  void restarted(const Books& books) {
    auto found = actual(books);
    for (auto& [device, before] : committed_books_) {
      INFO("device " << device.text());
      const auto lost = before.received - found[device].received;
      REQUIRE(lost >= 0);
      before.received -= lost;
      before.accepted -= lost;
      REQUIRE(found[device] == before);
    }
    books_ = committed_books_;
    balanced(books);
  }
  void link_lost(const DeviceId& device) {
    std::erase_if(messages_[device], [](const auto& one) { return one.second == State::doomed; });
    for (auto& [position, state] : messages_[device]) {
      if (state == State::in_flight) state = State::waiting;
    }
  }
  void crashed() {
    for (auto& [device, mine] : messages_) {
      std::erase_if(mine, [this](const auto& one) { return removed_.contains(one.first); });
    }
    for (auto& [device, mine] : messages_) {
      link_lost(device);
      for (auto& [position, state] : mine) {
        if (state == State::waiting && !safe_[device].contains(position)) state = State::perhaps;
      }
    }
    for (const auto& [device, position] : uncommitted_) messages_[device][position] = State::perhaps;
    uncommitted_.clear();
  }
  // After a drain: everything a device was told is safe reached the hub or the dead letters.
  void check_nothing_lost() const {
    for (const auto& [device, positions] : safe_) {
      for (const auto& position : positions) {
        INFO("device " << device.text() << " position " << position.value);
        REQUIRE((hub_.at(device).contains(position) || removed_.contains(position)));
      }
    }
  }

 private:
  static std::map<DeviceId, Tally> actual(const Books& books) {
    std::map<DeviceId, Tally> out;
    for (const auto& [day, tallies] : books.days) {
      for (const auto& [device, tally] : tallies) out[device_id(device)] += tally;
    }
    return out;
  }
  static void balanced(const Books& books) {
    for (const auto& device : report(books, {}, std::nullopt).devices) {
      INFO("device " << device.name);
      REQUIRE(device.unaccounted() == 0);
    }
  }

  std::map<DeviceId, Tally> books_;
  std::map<DeviceId, Tally> committed_books_;
  std::map<Position, Drop> removed_;
  std::map<DeviceId, std::map<Position, State>> messages_;  // those that are not done
  std::map<DeviceId, std::set<Position>> safe_;
  std::map<DeviceId, std::set<Position>> hub_;
  std::vector<std::pair<DeviceId, Position>> uncommitted_;
};

class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed) {
    for (int i = 0; i < 5; ++i) devices_.push_back(device_id("d" + std::to_string(i)));
    boot();
  }

  void step() {
    switch (pick(100)) {
      case 0:
        crash();
        break;
      case 1:
        lose_connection();
        break;
      case 2:
        detach();
        break;
      case 3:
        refuse();
        break;
      case 4:
        come_and_go();
        break;
      case 5:
      case 6:
        now_ += Milliseconds(pick(3000));
        break;
      case 7:
        dead_letter_turn();
        break;
      default:
        switch (pick(8)) {
          case 0:
          case 1:
            submit();
            break;
          case 2:
            store_turn();
            break;
          case 3:
            live_turn();
            break;
          case 4:
            answers_turn();
            break;
          case 5:
            hub_answers_requests();
            break;
          default:
            hub_settles();
            break;
        }
    }
    tick();
  }

  void drain() {
    calm_ = true;
    for (const auto& device : std::exchange(gone_, {})) alive_->mux.add(device, {}, true);
    for (int round = 0; round < 20'000; ++round) {
      now_ += 100ms;
      store_turn();
      live_turn();
      answers_turn();
      hub_answers_requests();
      while (!transfers_.empty()) hub_settles();
      tick();
      if (alive_->spool->depth().messages == 0 && items_.empty() && transfers_.empty() && answers_.empty()) {
        reference_.check_nothing_lost();
        return;
      }
    }
    FAIL("the spool does not drain: " << alive_->spool->depth().messages << " messages left");
  }

 private:
  struct Requests final : StoreRequests {
    explicit Requests(std::vector<StoreItem>& items) : items_(items) {}
    void flowing(const DeviceId&, bool) override {}
    void settle(Settlement settlement) override { items_.emplace_back(std::move(settlement)); }
    void read(ReadRequest request) override { items_.emplace_back(std::move(request)); }
    std::vector<StoreItem>& items_;
  };
  // What a crash takes away.
  struct Alive {
    Alive(const std::string& folder, std::vector<StoreItem>& items, const Moment& now, std::uint64_t seed)
        : spool(*Spool::open({.directory = folder, .age_step = Milliseconds(100), .now = now})),
          store(*spool, capacity, metrics, {.synced = false}),
          requests(items),
          mux(uplink, requests, tokens, commands, metrics,
              {.attach_rate = 0,
               .window = 20,
               .device_memory = 800,
               .max_attempts = 3,
               .trunk = {.max_devices = 2, .spare_after = Milliseconds(2000), .quiet = Milliseconds(1000)}},
              seed) {}
    std::unique_ptr<Spool> spool;
    Capacity capacity{{.max_bytes = 100'000, .max_messages = 500}};
    Metrics metrics;
    Store store;
    Requests requests;
    FakeUplink uplink;
    FakeTokens tokens;
    FakeCommands commands;
    LiveFeed live{10};
    Multiplexer mux;
    std::uint64_t sequence = 0;
    std::set<ConnectionSlot> open;
  };

  std::uint64_t pick(std::uint64_t below) {
    return std::uniform_int_distribution<std::uint64_t>(0, below - 1)(random_);
  }
  [[nodiscard]] Moment moment() const {
    const auto since = std::chrono::duration_cast<Milliseconds>(now_ - SteadyTime{});
    return {now_, WallTime(std::chrono::hours(24 * 20'780)) + since, true};
  }
  const DeviceId& any_device() { return devices_[pick(devices_.size())]; }

  void boot() {
    alive_ = std::make_unique<Alive>(folder_.path("spool"), items_, moment(), random_());
    alive_->capacity.set_policy(devices_[1], {.max_messages = 6, .on_full = OnFull::drop_oldest});
    alive_->capacity.set_policy(devices_[2], {.max_age = Milliseconds(20'000)});
    alive_->capacity.set_policy(devices_[3],
                                {.max_messages = 12, .max_age = Milliseconds(9'000), .on_full = OnFull::drop_oldest});
    const auto books = alive_->store.books(moment().wall);
    REQUIRE(books);
    reference_.restarted(*books);
    std::set<DeviceId> backlog;
    for (const auto& one : alive_->spool->devices()) {
      alive_->capacity.occupy(one.device, one.bytes, one.messages);
      if (one.messages > 0) backlog.insert(one.device);
    }
    gone_.clear();
    for (const auto& device : devices_)
      alive_->mux.add(device, {.max_in_flight = 1 + static_cast<unsigned>(pick(8))}, backlog.contains(device));
  }

  void submit() {
    auto& alive = *alive_;
    const auto device = any_device();
    auto one = message(device.text(), ++alive.sequence, std::string(pick(60), 'x'), alive.spool->run());
    if (alive.capacity.reserve(device, one->footprint()) != Capacity::Answer::kept) return;
    reference_.stamped(device, one->position);
    Arrival arrival{one, Completion<Admission>([this, device, position = one->position](Admission admission) {
                      if (admission.kind == Admission::Kind::safe) reference_.told_safe(device, position);
                    })};
    arrival.drops_oldest = alive.capacity.policy(device).on_full == OnFull::drop_oldest;
    items_.emplace_back(std::move(arrival));
    alive.live.push(std::move(one));
  }

  // The operator sends a dead letter again, or throws it away.
  void dead_letter_turn() {
    auto& alive = *alive_;
    auto kept = alive.store.kept(moment(), [this, &alive](const DeadLetter& letter) {
      auto again = message(letter.device.text(), ++alive.sequence, letter.telemetry->body, alive.spool->run());
      alive.capacity.occupy(letter.device, again->footprint());
      Arrival arrival{again};
      arrival.replaces = letter.position;
      reference_.requeued(letter.device, again->position);
      items_.emplace_back(std::move(arrival));
      alive.live.push(std::move(again));
    });
    const auto letters = kept.dead_letters({.device = any_device(), .limit = 1, .with_telemetry = true});
    REQUIRE(letters);
    if (letters->empty()) return;
    if (pick(2) == 0) {
      REQUIRE(kept.requeue(*letters));
      return;
    }
    const auto purged = kept.purge(*letters);
    REQUIRE(purged);
    if (*purged == 1) reference_.purged(letters->front().device);
  }

  void store_turn() {
    auto result = alive_->store.process(items_, moment());
    REQUIRE_FALSE(result.failed);
    for (const auto& removal : result.removed) reference_.removed(removal);
    const auto books = alive_->store.books(moment().wall);
    REQUIRE(books);
    reference_.committed(*books);
    if (!result.removed.empty()) answers_.emplace_back(std::move(result.removed));
    for (auto& answer : result.reads) {
      if (!calm_ && pick(20) == 0) {
        answer.messages.clear();
        answer.failed = true;
      }
      answers_.emplace_back(std::move(answer));
    }
  }

  void live_turn() {
    LiveFeed::Taken taken;
    alive_->live.take(taken);
    for (auto& one : taken.messages) alive_->mux.offer(std::move(one));
    for (const auto& [device, newest] : taken.missed) alive_->mux.missed(device, newest);
  }

  void answers_turn() {
    // What the store removed was offered before.
    live_turn();
    for (auto& word : answers_) {
      if (auto* answer = std::get_if<ReadAnswer>(&word)) {
        alive_->mux.on_batch(std::move(*answer));
        continue;
      }
      for (const auto& removal : std::get<std::vector<Removal>>(word)) {
        reference_.told_removed(removal);
        alive_->mux.forget(removal.device, removal.position);
      }
    }
    answers_.clear();
  }

  void hub_answers_requests() {
    auto& alive = *alive_;
    for (const auto connection : std::exchange(alive.uplink.opening, {})) {
      REQUIRE_FALSE(alive.open.contains(connection));
      if (!calm_ && pick(4) == 0) {
        alive.mux.on_lost(connection, {LinkFault::Kind::transport, "x", "refused", {}});
      } else {
        alive.open.insert(connection);
        alive.mux.on_ready(connection);
      }
    }
    for (const auto slot : std::exchange(alive.uplink.authorised, {})) alive.mux.on_authorised(slot);
    for (const auto& [slot, link] : std::exchange(alive.uplink.attached, {})) alive.mux.on_attached(slot, link);
  }

  void hub_settles() {
    if (transfers_.empty()) return;
    const auto at = static_cast<std::ptrdiff_t>(pick(transfers_.size()));
    const auto transfer = transfers_[static_cast<std::size_t>(at)];
    transfers_.erase(transfers_.begin() + at);
    const auto& device = transfer.message->telemetry.device;
    const auto position = transfer.message->position;
    const auto kind = calm_ ? 0 : pick(12);
    auto& attempts = attempts_[position.value];
    if (kind == 10 && ++attempts < 3) {
      reference_.released(device, position);
      alive_->mux.on_outcome(transfer.slot, position, {Outcome::Kind::modified, false, {}, {}});
    } else if (kind == 11) {
      reference_.released(device, position);
      const auto asked = pick(4) == 0 ? Outcome::throttled(Milliseconds(pick(5000) + 1), "slow") : Outcome::released();
      alive_->mux.on_outcome(transfer.slot, position, asked);
    } else {
      reference_.arrived(device, position);  // for a rejection: the dead letters
      reference_.done(device, position, kind != 9);
      alive_->mux.on_outcome(transfer.slot, position, kind == 9 ? Outcome::rejected("x:y", "no") : Outcome::accepted());
    }
  }

  // Transfers whose outcome is never heard: the hub may or may not have them.
  void unheard(const std::function<bool(const FakeUplink::Transfer&)>& which) {
    std::erase_if(transfers_, [&](const FakeUplink::Transfer& transfer) {
      if (!which(transfer)) return false;
      if (pick(2) == 0) reference_.arrived(transfer.message->telemetry.device, transfer.message->position);
      return true;
    });
  }

  void lose_connection() {
    if (alive_->open.empty()) return;
    auto which = alive_->open.begin();
    std::advance(which, static_cast<std::ptrdiff_t>(pick(alive_->open.size())));
    lose(*which);
  }

  void lose(ConnectionSlot connection) {
    auto& uplink = alive_->uplink;
    alive_->open.erase(connection);
    unheard([connection](const auto& transfer) { return transfer.connection == connection; });
    const auto there = [&](DeviceSlot slot) { return uplink.place.at(slot) == connection; };
    for (const auto& [slot, place] : uplink.place) {
      if (place == connection) reference_.link_lost(devices_[slot.value]);
    }
    std::erase_if(uplink.authorised, there);
    std::erase_if(uplink.attached, [&](const auto& one) { return there(one.first); });
    std::erase(uplink.ending, connection);
    alive_->mux.on_lost(connection, {LinkFault::Kind::transport, "x", "cut", {}});
  }

  // A device leaves the maps, or comes back.
  void come_and_go() {
    const DeviceSlot slot{static_cast<std::uint32_t>(pick(devices_.size()))};
    const auto& device = devices_[slot.value];
    if (gone_.erase(device) > 0) {
      REQUIRE(alive_->mux.add(device, {.max_in_flight = 4}, true) == slot);
      return;
    }
    session_over(slot);
    alive_->mux.remove(device);
    gone_.insert(device);
  }

  // Nothing more is heard of what the device has in flight.
  void session_over(DeviceSlot slot) {
    unheard([slot](const auto& transfer) { return transfer.slot == slot; });
    reference_.link_lost(devices_[slot.value]);
    std::erase(alive_->uplink.authorised, slot);
    std::erase_if(alive_->uplink.attached, [slot](const auto& one) { return one.first == slot; });
  }

  void detach() {
    const DeviceSlot slot{static_cast<std::uint32_t>(pick(devices_.size()))};
    const auto status = alive_->mux.status();
    const auto found = std::find_if(status.devices.begin(), status.devices.end(),
                                    [&](const auto& one) { return one.device == devices_[slot.value]; });
    if (found == status.devices.end()) return;
    if (found->state != SessionState::ready && found->state != SessionState::attaching) return;
    session_over(slot);
    const auto kind = pick(2) == 0   ? LinkFault::Kind::busy
                      : pick(2) == 0 ? LinkFault::Kind::unauthorised
                                     : LinkFault::Kind::taken_over;
    alive_->mux.on_detached(slot, DeviceLink::telemetry, {kind, "x", "detached", {}});
  }

  void refuse() {
    if (alive_->uplink.authorised.empty()) return;
    const auto slot = alive_->uplink.authorised.back();
    alive_->uplink.authorised.pop_back();
    const auto kind = pick(3) == 0 ? LinkFault::Kind::full : LinkFault::Kind::busy;
    alive_->mux.on_refused(slot, {kind, "x", "later", {}});
  }

  void crash() {
    unheard([](const auto&) { return true; });
    alive_.reset();
    items_.clear();
    answers_.clear();
    attempts_.clear();
    reference_.crashed();
    boot();
  }

  void tick() {
    alive_->mux.tick(now_, WallTime(std::chrono::hours(500'000)));
    for (const auto slot : std::exchange(alive_->uplink.detached, {})) session_over(slot);
    while (!alive_->uplink.ending.empty()) lose(alive_->uplink.ending.back());
    for (auto& transfer : alive_->uplink.sent) {
      reference_.sent(transfer.message->telemetry.device, transfer.message->position);
      transfers_.push_back(std::move(transfer));
    }
    alive_->uplink.sent.clear();
  }

  std::mt19937_64 random_;
  TemporaryFolder folder_;
  std::vector<DeviceId> devices_;
  Reference reference_;
  std::vector<StoreItem> items_;
  std::vector<std::variant<ReadAnswer, std::vector<Removal>>> answers_;
  std::vector<FakeUplink::Transfer> transfers_;
  std::map<std::uint64_t, unsigned> attempts_;
  std::set<DeviceId> gone_;  // from the maps
  std::unique_ptr<Alive> alive_;
  SteadyTime now_ = SteadyTime{} + 1h;
  bool calm_ = false;
};

}  // namespace

TEST_CASE("random events: never lost, never reordered within a device, never settled twice, booked as what it was",
          "[D-01][D-02][D-03][D-04][D-05]") {
  log::set_level(log::Level::error);
  const auto seed = from_environment("TRUNKLINE_SEED", random_seed());
  const auto events = from_environment("TRUNKLINE_MODEL_EVENTS", 30'000);
  std::cout << "model: seed " << seed << ", " << events << " events (TRUNKLINE_SEED=" << seed << " replays it)"
            << std::endl;
  INFO("seed " << seed);
  World world(seed);
  for (std::uint64_t i = 0; i < events; ++i) world.step();
  world.drain();
}
