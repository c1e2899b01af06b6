// SPDX-License-Identifier: Apache-2.0
// Leads the hub's name to this machine: its address for AMQP, and its HTTPS port, which the service SDK cannot be told.
// Only Node's own modules are touched, not the packages.
"use strict";

const dns = require("node:dns");
const https = require("node:https");
const tls = require("node:tls");

function route(host, httpsPort) {
  const lookup = dns.lookup;
  dns.lookup = (name, options, callback) => lookup(name === host ? "127.0.0.1" : name, options, callback);
  // Of every agent, because the SDK makes its own.
  https.Agent.prototype.createConnection = (options) =>
    tls.connect({ ...options, host: "127.0.0.1", port: httpsPort, servername: host });
}

module.exports = { route };
