// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/settings.h"
#include "gateway/app/config_change.h"
#include "gateway/app/hub_loop.h"
#include "gateway/base/result.h"
#include "gateway/core/adapter.h"
#include "gateway/pipeline/capacity.h"
#include "gateway/pipeline/shaping_ingress.h"
#include "gateway/pipeline/spool.h"
#include "identity/directory.h"

namespace trunkline::app {

// Of the [[mqtt]] table with that name.
std::string adapter_name(const std::string& broker);

// The devices that the gateway serves and the adapters that they speak through: made at start, changed while it runs.
// The only one that changes Application's settings. Owned by Application; the main thread only.
class DeviceSet final {
 public:
  struct Parts {
    config::Settings& settings;
    const Clock& clock;
    Metrics& metrics;
    Spool& spool;
    identity::Directory& directory;
    Capacity& capacity;
    ShapingIngress& shaping;
    HubLoop& hub;
    boost::asio::io_context& io;
  };
  explicit DeviceSet(Parts parts) : parts_(parts) {}

  // Before the threads: what the maps say, and what earlier runs left.
  Result<void> prepare();
  // Once the threads run.
  Result<void> start();
  void stop(SteadyTime deadline);

  // From the settings that hold to those wanted, touching only what differs; what needs a restart is equal in both
  // (merged). `done` comes on the main thread; after an error the set is half changed, and applying what held before
  // repairs it. Not again before `done`.
  void apply(config::Settings wanted, std::function<void(Result<void>)> done);

  [[nodiscard]] std::vector<AdapterStatus> status() const;

 private:
  struct Step;
  Result<void> restore_kept();
  [[nodiscard]] Adapter* adapter_of(const DeviceMap& map) const;
  [[nodiscard]] HubLoop::Mapped mapped(const DeviceMap& map) const;
  void make_adapters(std::vector<Adapter*>& fresh);
  void set_policies(const ConfigChange& change);
  void change_adapters(const std::shared_ptr<Step>& step);
  void finish(const std::shared_ptr<Step>& step);
  void drop_unwanted();
  void drop(Adapter* adapter);

  Parts parts_;
  std::vector<std::unique_ptr<Adapter>> adapters_;
  std::vector<std::unique_ptr<Adapter>> dropped_;  // stopped; other threads may still know them
};

}  // namespace trunkline::app
