// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/port.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <utility>

#include "adapters/tcp/tls.h"
#include "gateway/base/check.h"
#include "gateway/base/encoding.h"
#include "gateway/base/log.h"

namespace trunkline::tcp {

namespace {

using By = TcpIdentify::By;
namespace ip = net::asio::ip;

constexpr Milliseconds kConnectTimeout{10'000};
constexpr Milliseconds kHandshakeTimeout{10'000};
constexpr std::size_t kMostHandshakes = 500;
constexpr std::size_t kMostUnknown = 20;
constexpr std::size_t kShown = 32;

}  // namespace

Result<std::unique_ptr<Port>> Port::make(Loop& loop, std::vector<Device*> devices) {
  std::unique_ptr<Port> out(new Port(loop, std::move(devices)));
  if (auto done = out->prepare(); !done) return fail(done.error().in(out->devices_.front()->id().text()));
  for (auto* device : out->devices_) device->join(*out);
  return out;
}

Port::Port(Loop& loop, std::vector<Device*> devices)
    : loop_(loop),
      devices_(std::move(devices)),
      shared_map_(devices_.front()->whole_map().tcp),
      map_(*shared_map_),
      backoff_({Milliseconds(100), Milliseconds(500), map_.line.retry}, std::hash<std::string>{}(map_.connect)),
      timer_(loop.inbox->io) {}

Port::~Port() = default;

Result<void> Port::prepare() {
  const auto& identify = map_.line.identify;
  if (map_.line.sequence && map_.ack) {
    auto parsed = Template::parse(*map_.ack, {"sequence"});
    if (!parsed) return fail(parsed.error().in("tcp.ack"));
    ack_ = std::move(*parsed);
  }
  if (identify.by == By::registration && identify.bytes > 0) {
    registration_ = Framing{.max_length = identify.bytes, .kind = FramingKind::fixed, .size = identify.bytes};
  }
  for (auto* device : devices_) {
    if (auto entered = enter(*device); !entered) return entered;
  }
  for (const auto& one : map_.line.allow) {
    if (auto added = allowed_.add(one); !added) return fail(added.error().in("tcp.allow"));
  }
  if (!map_.line.tls) return {};
  const auto who = devices_.front()->id();
  // Listening, only those of this listener: another device's key is no way in here.
  auto context = tls_context(map_, who.text(), [this, who](std::string_view identity) -> Result<Secret> {
    if (!map_.connect.empty()) return loop_.ingress->handshake_key(who);
    const auto* device = find(identity);
    if (device == nullptr) return fail(ErrorCode::not_found, "nobody of this listener");
    return loop_.ingress->handshake_key(device->id());
  });
  if (!context) return fail(context.error());
  tls_ = std::move(*context);
  return {};
}

// Who is told apart by its address has the place in networks_ that it has in devices_.
Result<void> Port::enter(Device& device) {
  const auto& is = device.map().is.empty() ? device.id().text() : device.map().is;
  if (map_.line.identify.by == By::address) {
    if (auto added = networks_.add(is); !added) return fail(added.error().in("tcp.identify.is"));
  } else if (!by_key_.emplace(is, &device).second) {
    return fail(ErrorCode::invalid, "tcp.is: two devices are '" + is + "'");
  }
  return {};
}

Result<void> Port::add(Device& device) {
  if (auto entered = enter(device); !entered) return fail(entered.error().in(device.id().text()));
  devices_.push_back(&device);
  device.join(*this);
  if (map_.connect.empty()) return {};
  if (map_.line.release.count() > 0) device.reachable(Presence::reachable);
  if (map_.line.identify.by == By::frame && !lines_.empty()) lines_.begin()->second.line->welcome({&device});
  look();
  return {};
}

void Port::remove(Device& device, std::string_view why) {
  std::erase(devices_, &device);
  std::erase_if(by_key_, [&](const auto& entry) { return entry.second == &device; });
  networks_ = {};
  if (map_.line.identify.by == By::address) {
    for (auto* left : devices_) static_cast<void>(enter(*left));  // they were taken before
  }
  if (const auto line = device.line()) line->lose(device, why);
}

Result<void> Port::open() {
  const auto& who = devices_.front()->id().text();
  const auto address = net::Endpoint::parse(map_.connect.empty() ? map_.listen : map_.connect);
  if (!address) return fail(address.error().in(who + (map_.connect.empty() ? ": tcp.listen" : ": tcp.connect")));
  if (!map_.connect.empty()) {
    target_ = *address;
    if (map_.line.release.count() > 0) {
      for (auto* device : devices_) device->reachable(Presence::reachable);
    }
    net::asio::post(loop_.inbox->io, [this] { look(); });
    return {};
  }
  auto listener =
      net::Listener::open(loop_.inbox->io, *address, [this](ip::tcp::socket socket) { accept(std::move(socket)); });
  if (!listener) return fail(listener.error().in(who));
  listener_ = std::move(*listener);
  return {};
}

std::string Port::local() const {
  return listener_ ? listener_->local().text() : std::string();
}

net::TcpOptions Port::tcp_options() const {
  return {map_.line.dead_after, map_.line.bind};
}

Device* Port::find(std::string_view key) const {
  const auto found = by_key_.find(std::string(key));
  return found == by_key_.end() ? nullptr : found->second;
}

std::string Port::acknowledgement(std::string_view sequence) const {
  if (!ack_) return *map_.ack;
  return sequence.empty() ? std::string() : ack_->fill({{"sequence", sequence}});
}

// A place among the connections of one address, for as long as it is held.
class Port::Seat {
 public:
  Seat(Seats& seats, const std::string& address) : seats_(seats), mine_(seats.try_emplace(address, 0).first) {
    ++mine_->second;
  }
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;
  ~Seat() {
    if (--mine_->second == 0) seats_.erase(mine_);
  }

 private:
  Seats& seats_;
  Seats::iterator mine_;
};

bool Port::may_enter(const ip::tcp::socket& socket, std::shared_ptr<Seat>& seat) {
  if (lines_.size() >= map_.line.max_connections || handshakes_.size() >= kMostHandshakes) return false;
  const auto most = map_.line.max_per_address;
  if (allowed_.empty() && most == 0) return true;
  net::error_code error;
  const auto peer = socket.remote_endpoint(error);
  if (error) return false;
  const auto address = peer.address().to_string();
  if (!allowed_.empty() && !allowed_.find(address)) {
    if (const auto suppressed = unknown_log_.allow(loop_.clock.steady())) {
      log::warning("connection_refused", {{"adapter", "tcp"},
                                          {"peer", address},
                                          {"address", map_.listen},
                                          {"reason", "it is not in tcp.allow"},
                                          {"suppressed", *suppressed}});
    }
    return false;
  }
  if (most == 0) return true;
  const auto taken = seats_.find(address);
  if (taken != seats_.end() && taken->second >= most) return false;
  seat = std::make_shared<Seat>(seats_, address);
  return true;
}

void Port::accept(ip::tcp::socket socket) {
  if (loop_.stopping || closed_) return;
  std::shared_ptr<Seat> seat;
  if (!may_enter(socket, seat)) {
    loop_.counters.turned_away.add();
    return;
  }
  if (!tls_) return begin(net::tcp_stream(std::move(socket), tcp_options()), std::move(seat));
  const auto number = ++last_handshake_;
  handshakes_.emplace(number, net::accept_tls(
                                  std::move(socket), tls_, kHandshakeTimeout,
                                  [this, number, seat](Result<std::unique_ptr<net::Stream>> stream) {
                                    const auto attempt = handshakes_.extract(number);
                                    if (stream) return begin(std::move(*stream), seat);
                                    if (const auto suppressed = unknown_log_.allow(loop_.clock.steady())) {
                                      log::warning("tls_handshake_failed", {{"adapter", "tcp"},
                                                                            {"error", stream.error().message},
                                                                            {"suppressed", *suppressed}});
                                    }
                                  },
                                  tcp_options()));
}

// Who speaks on a new connection: nothing if nobody may, null if it is yet to say so.
std::optional<Device*> Port::speaker(const net::Stream& stream) const {
  switch (map_.line.identify.by) {
    case By::sole:
      return devices_.front();
    case By::registration:
    case By::frame:
      return nullptr;
    case By::certificate:
    case By::psk:
      if (auto* device = find(stream.identity())) return device;
      return std::nullopt;
    case By::address:
      break;
  }
  const auto peer = net::Endpoint::parse(stream.peer());
  const auto found = networks_.find(peer ? peer->host : std::string());
  return found ? std::optional(devices_[*found]) : std::nullopt;
}

void Port::begin(std::unique_ptr<net::Stream> stream, std::shared_ptr<Seat> seat) {
  if (loop_.stopping || closed_) return;
  const auto device = speaker(*stream);
  const auto line = std::make_shared<Line>(loop_, *this, std::move(stream));
  if (!device) {
    loop_.counters.unknown.add();
    note_unknown(*line, {}, {});
    return;
  }
  lines_.emplace(line->number(), Met{line, std::move(seat)});
  loop_.lines.emplace(line->number(), line.get());
  loop_.counters.connections.set(++loop_.connected);
  line->start(*device);
}

void Port::on_closed(Line& line, std::string_view why) {
  const bool heard = line.heard();
  lines_.erase(line.number());
  if (map_.connect.empty() || loop_.stopping || closed_) return;
  // A server that takes a connection and closes it at once is busy with somebody else.
  if (heard) backoff_.reset();
  if (map_.line.release.count() > 0 && heard) {
    not_before_ = {};
    return look();
  }
  if (const auto suppressed = dial_log_.allow(loop_.clock.steady())) {
    log::info("line_lost", {{"adapter", "tcp"},
                            {"device", devices_.empty() ? std::string() : devices_.front()->id().text()},
                            {"peer", map_.connect},
                            {"reason", why},
                            {"suppressed", *suppressed}});
  }
  dial_later(backoff_.next());
}

void Port::dial() {
  TRUNKLINE_CHECK(!attempt_ && lines_.empty(), "a server of one slot is never asked for a second");
  loop_.counters.dials.add();
  const auto done = [this](Result<std::unique_ptr<net::Stream>> stream) { on_dialled(std::move(stream)); };
  attempt_ =
      tls_ ? net::connect_tls(loop_.inbox->io, target_, tls_, map_.line.tls->name, kConnectTimeout, done, tcp_options())
           : net::connect_tcp(loop_.inbox->io, target_, kConnectTimeout, done, tcp_options());
}

void Port::on_dialled(Result<std::unique_ptr<net::Stream>> stream) {
  const auto attempt = std::move(attempt_);
  if (loop_.stopping || closed_) return;
  if (stream) {
    last_busy_ = loop_.clock.steady();
    begin(std::move(*stream), {});
    // Devices that do not say who they are in each message are all there.
    if (map_.line.identify.by == By::frame && !lines_.empty()) lines_.begin()->second.line->welcome(devices_);
    return look();
  }
  loop_.counters.dial_failures.add();
  if (const auto suppressed = dial_log_.allow(loop_.clock.steady())) {
    log::warning("dial_failed", {{"adapter", "tcp"},
                                 {"device", devices_.empty() ? std::string() : devices_.front()->id().text()},
                                 {"error", stream.error().message},
                                 {"suppressed", *suppressed}});
  }
  for (auto* device : devices_) {
    if (auto* lane = device->lane()) lane->on_disconnected("the device cannot be reached");
    device->reachable(Presence::away);
  }
  dial_later(backoff_.next());
}

void Port::dial_later(Milliseconds delay) {
  not_before_ = loop_.clock.steady() + delay;
  look();
}

// When somebody here has something to send.
SteadyTime Port::due() const {
  auto out = kNever;
  for (auto* device : devices_) {
    if (device->lane() != nullptr) out = std::min(out, device->lane()->waits() ? SteadyTime{} : device->lane()->due());
  }
  return out;
}

void Port::wake() {
  if (!map_.connect.empty()) look();
}

// Dials when it is time to, and lets go of a connection that has had nothing to do.
void Port::look() {
  if (loop_.stopping || closed_ || map_.connect.empty() || attempt_ || devices_.empty()) return;
  const auto now = loop_.clock.steady();
  const bool on_demand = map_.line.release.count() > 0;
  if (!lines_.empty()) {
    if (!on_demand) return;
    last_busy_ = due() <= now ? now : std::max(last_busy_, lines_.begin()->second.line->heard_at());
    const auto idle_at = last_busy_ + map_.line.release;
    if (idle_at > now) return arm(idle_at);
    lines_.begin()->second.line->close("nothing to do for tcp.release");
    return;
  }
  if (now < not_before_) return arm(not_before_);
  if (on_demand) {
    for (auto* device : devices_) device->reachable(Presence::reachable);
    if (const auto next = due(); next > now) return next == kNever ? void() : arm(next);
  }
  dial();
}

void Port::arm(SteadyTime due) {
  if (due >= armed_) return;
  armed_ = due;
  timer_.expires_at(due);
  timer_.async_wait([this](net::error_code error) {
    if (error == net::asio::error::operation_aborted) return;
    armed_ = kNever;
    look();
  });
}

void Port::note_unknown(const Line& line, std::string_view key, std::string_view said) {
  const auto where = map_.connect.empty() ? map_.listen : map_.connect;
  auto text = line.peer() + " at " + where + ": ";
  if (!key.empty()) {
    text += is_utf8(key) ? "'" + std::string(key.substr(0, kShown)) + "'" : "hex " + hex_encode(key.substr(0, kShown));
  } else if (!said.empty()) {
    text += "named nobody, hex " + hex_encode(said.substr(0, kShown));
  } else {
    text += "nobody known";
  }
  loop_.unknown.with([&](auto& sample) {
    if (std::find(sample.begin(), sample.end(), text) != sample.end()) return;
    if (sample.size() >= kMostUnknown) sample.erase(sample.begin());  // who tries now is looked for
    sample.push_back(text);
  });
  if (const auto suppressed = unknown_log_.allow(loop_.clock.steady())) {
    log::warning("device_unknown",
                 {{"adapter", "tcp"}, {"peer", line.peer()}, {"address", where}, {"suppressed", *suppressed}});
  }
}

void Port::stop_taking() {
  listener_.reset();
  attempt_.reset();
  handshakes_.clear();
  timer_.cancel();
}

bool Port::writing() const {
  return std::any_of(lines_.begin(), lines_.end(), [](const auto& met) { return met.second.line->writing(); });
}

void Port::close() {
  closed_ = true;
  stop_taking();
  for (const auto& [number, met] : std::exchange(lines_, {})) met.line->close("the gateway is stopping");
}

}  // namespace trunkline::tcp
