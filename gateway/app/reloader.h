// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/settings.h"
#include "gateway/app/device_set.h"
#include "gateway/base/json.h"
#include "gateway/base/log.h"

namespace trunkline::app {

log::Level level_of(const std::string& name);  // as log.level says it

// Takes over a changed configuration and changed identities while the gateway runs: validates all of it, changes what
// differs, watches for a few seconds whether what worked before still works, and puts everything back if not
// (gateway/decisions/0014-reload.md). One at a time. Owned by Application; the main thread only.
class Reloader final {
 public:
  struct Parts {
    const config::Settings& settings;  // what holds; DeviceSet changes it
    DeviceSet& devices;
    HubLoop& hub;
    boost::asio::io_context& io;
    std::function<Result<std::vector<DeviceId>>()> identities;
  };
  // singles: the device maps as they were loaded, before families were expanded.
  Reloader(Parts parts, std::vector<DeviceMap> singles);

  // {"ok":true,"dry_run":bool,"change":{…},"warnings":[text],"trouble":[{"id","fault"}]}: taken over, but for what says
  // that it needs a restart; `trouble` are new or changed devices that the hub does not serve, and new brokers that do
  // not answer yet. {"ok":false,"error":text,"problems":[text],"rolled_back":bool}: everything is as before; after a
  // roll-back `problems` says where the maps stand that brought it about, file:line:col. One that comes while another
  // is under way waits for it.
  using Answer = std::function<void(std::string json)>;
  void reload(bool dry_run, Answer done);

  // Families may have other members now.
  void identities_changed();

 private:
  struct Run;
  void begin(bool dry_run, Answer done);
  bool expand(config::Settings& settings, const std::vector<DeviceMap>& singles, std::string& error) const;
  void apply(const std::shared_ptr<Run>& run);
  void watch(const std::shared_ptr<Run>& run);
  [[nodiscard]] std::string gone_bad(const Run& run) const;
  void roll_back(const std::shared_ptr<Run>& run, const std::string& reason);
  void await_recovery(const std::shared_ptr<Run>& run);
  void look_for_trouble(const std::shared_ptr<Run>& run);
  void finish(const std::shared_ptr<Run>& run, json::object answer);

  Parts parts_;
  std::vector<DeviceMap> singles_;  // only where there are families; else the settings' devices are they
  boost::asio::steady_timer timer_;
  bool busy_ = false;
  bool again_ = false;  // identities changed meanwhile
  std::deque<std::pair<bool, Answer>> waiting_;
};

}  // namespace trunkline::app
