// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

namespace trunkline::ops {

// What the operator's surface may ask of the running daemon; the composition root implements it. Called on the ops
// thread; answers come there too, exactly once.
class Control {
 public:
  virtual ~Control() = default;

  // The whole status as one JSON object in one line (its shape: gateway/ops/README.md).
  virtual void status(std::function<void(std::string json)> done) = 0;
  // Do all threads still make progress? For watchdog and health; the reason when not.
  virtual void alive(std::function<void(bool alive, std::string reason)> done) = 0;
  // Is the hub connected and can messages be taken? For readiness.
  virtual void ready(std::function<void(bool ready, std::string reason)> done) = 0;
  // What is kept: a request with op ledger, spool or deadletters, answered by the pipeline (one line each way).
  virtual void kept(std::string request, std::function<void(std::string json)> done) = 0;
  // Prometheus text.
  virtual std::string metrics() = 0;
  // Reads the configuration again and takes over what changed; the answer is {"ok":true,"change":{…},"warnings":[…],
  // "trouble":[…]} (the shapes: gateway/app/reloader.h), or {"ok":false,"error":…,"problems":[…]} and nothing has
  // changed. dry_run: only says what would change.
  virtual void reload(bool dry_run, std::function<void(std::string json)> done) = 0;
  // The identity store was changed by a command of ours: read it again. Empty on success, else what failed.
  virtual std::string identities_changed() = 0;
};

}  // namespace trunkline::ops
