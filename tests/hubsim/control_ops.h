// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "tests/hubsim/control.h"
#include "tests/hubsim/request.h"

namespace trunkline::hubsim {

// What an operation works with. `done` answers with what it is given and "ok": true, `failed` with the error; one of
// them is called once, at once or later.
struct Operation {
  Hub& hub;
  Request& request;
  std::function<void(json::object)> done;
  std::function<void(std::string)> failed;

  // The device that the request names; answers the failure itself if there is none.
  [[nodiscard]] std::shared_ptr<Device> device() const;
};

using OperationTable = std::map<std::string_view, void (*)(const Operation&), std::less<>>;

const OperationTable& inspect_operations();
const OperationTable& device_operations();
const OperationTable& fault_operations();
const OperationTable& network_operations();
const OperationTable& service_operations();

}  // namespace trunkline::hubsim
