// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "adapters/tcp/line.h"
#include "gateway/base/backoff.h"
#include "gateway/net/network_set.h"

namespace trunkline::tcp {

// Where devices are met: an address that we listen on, or one that we dial. It makes the connections and knows which
// device says what it is in which way. A dialled address has at most one connection or attempt at any time, because
// many serial servers serve one peer only. Owned by the adapter; the loop's thread only, but for make and open.
class Port {
 public:
  // The devices have one map of the line between them. invalid: TLS files that cannot be read, a wrong address.
  static Result<std::unique_ptr<Port>> make(Loop& loop, std::vector<Device*> devices);
  ~Port();

  Result<void> open();
  [[nodiscard]] std::string local() const;

  [[nodiscard]] const TcpMap& map() const { return map_; }
  [[nodiscard]] const Framing& first_framing() const { return registration_ ? *registration_ : map_.framing; }
  [[nodiscard]] Device* find(std::string_view key) const;
  [[nodiscard]] std::string acknowledgement(std::string_view sequence) const;

  // While it is open. Of the devices that share it the others notice nothing.
  Result<void> add(Device& device);
  void remove(Device& device, std::string_view why);
  [[nodiscard]] bool has(const Device& device) const {
    return std::find(devices_.begin(), devices_.end(), &device) != devices_.end();
  }
  [[nodiscard]] bool deserted() const { return devices_.empty(); }

  // A device that is not connected has something to send.
  void wake();
  void on_closed(Line& line, std::string_view why);
  // Who tried is shown in status, with the beginning of what it said if it named nobody.
  void note_unknown(const Line& line, std::string_view key, std::string_view said);

  void stop_taking();
  [[nodiscard]] bool writing() const;
  void close();

 private:
  Port(Loop& loop, std::vector<Device*> devices);
  Result<void> prepare();
  Result<void> enter(Device& device);

  using Seats = std::map<std::string, unsigned>;  // connections of each address, where that is limited
  class Seat;
  struct Met {
    std::shared_ptr<Line> line;
    std::shared_ptr<Seat> seat;
  };
  void accept(net::asio::ip::tcp::socket socket);
  [[nodiscard]] bool may_enter(const net::asio::ip::tcp::socket& socket, std::shared_ptr<Seat>& seat);
  void begin(std::unique_ptr<net::Stream> stream, std::shared_ptr<Seat> seat);
  [[nodiscard]] std::optional<Device*> speaker(const net::Stream& stream) const;
  void dial();
  void on_dialled(Result<std::unique_ptr<net::Stream>> stream);
  void dial_later(Milliseconds delay);
  void look();
  [[nodiscard]] SteadyTime due() const;
  void arm(SteadyTime due);
  [[nodiscard]] net::TcpOptions tcp_options() const;

  Loop& loop_;
  std::vector<Device*> devices_;
  const SharedValue<TcpMap> shared_map_;  // of the first device; others may come and go
  const TcpMap& map_;
  bool closed_ = false;
  std::optional<Template> ack_;
  std::optional<Framing> registration_;
  std::unordered_map<std::string, Device*> by_key_;
  net::NetworkSet networks_;  // of the devices, in their order
  net::NetworkSet allowed_;
  std::shared_ptr<net::asio::ssl::context> tls_;

  Seats seats_;  // before those who sit
  std::unique_ptr<net::Listener> listener_;
  std::unordered_map<std::uint64_t, std::unique_ptr<net::ConnectAttempt>> handshakes_;
  std::uint64_t last_handshake_ = 0;
  std::unordered_map<std::uint64_t, Met> lines_;

  net::Endpoint target_;
  std::unique_ptr<net::ConnectAttempt> attempt_;
  Backoff backoff_;
  SteadyTime not_before_{};
  SteadyTime last_busy_{};
  net::asio::steady_timer timer_;
  SteadyTime armed_ = kNever;
  LogLimit unknown_log_;
  LogLimit dial_log_{Milliseconds(10'000)};
};

}  // namespace trunkline::tcp
