// SPDX-License-Identifier: Apache-2.0
// The official device and service SDKs against the simulator: node checks.js FACTS, where FACTS is the simulator's first
// line of output plus "device_key" and "module_key". Prints one line for each check that held; the first that does not
// ends it with status 1.
"use strict";

const assert = require("node:assert");
const fs = require("node:fs");
const { once } = require("node:events");

const { Client: DeviceClient, Message, ModuleClient } = require("azure-iot-device");
const { Amqp } = require("azure-iot-device-amqp");
const { NoRetry, Message: ServiceMessage } = require("azure-iot-common");
const { Client: ServiceClient, Registry } = require("azure-iothub");
const { route } = require("./route");

const facts = JSON.parse(process.argv[2]);
const DEVICE = "node-1";
const MODULE = "meter";
const port = facts.ports.amqps;
route(facts.host, facts.ports.https);

const owner = `SharedAccessKeyName=iothubowner;SharedAccessKey=${facts.policies.iothubowner}`;
const gateway = `GatewayHostName=${facts.host}:${port}`;
const registry = Registry.fromConnectionString(`HostName=${facts.host};${owner}`);
const service = ServiceClient.fromConnectionString(`HostName=${facts.host}:${port};${owner}`);
service.setRetryPolicy(new NoRetry());

function held(what) {
  console.log(`ok: ${what}`);
}

function failure(promise) {
  return promise.then(
    () => assert.fail("it went well"),
    (error) => error,
  );
}

async function open(client) {
  await client.setOptions({ ca: fs.readFileSync(facts.ca_file, "utf8") });
  client.setRetryPolicy(new NoRetry());
  await client.open();
  return client;
}

async function checkRegistry() {
  const made = (await registry.create({ deviceId: "node-new" })).responseBody;
  assert.ok(made.authentication.symmetricKey.primaryKey);
  assert.strictEqual((await failure(registry.create({ deviceId: "node-new" }))).name, "DeviceAlreadyExistsError");
  assert.strictEqual((await registry.get("node-new")).responseBody.generationId, made.generationId);
  const listed = (await registry.list()).responseBody.map((device) => device.deviceId);
  assert.ok(listed.includes("node-new") && listed.includes(DEVICE));
  await registry.update({ deviceId: "node-new", status: "disabled" });
  assert.strictEqual((await registry.get("node-new")).responseBody.status, "disabled");
  await registry.addModule({ deviceId: "node-new", moduleId: "m" });
  assert.strictEqual((await registry.getModulesOnDevice("node-new")).responseBody.length, 1);
  await registry.delete("node-new");
  assert.strictEqual((await failure(registry.get("node-new"))).name, "DeviceNotFoundError");
  held("registry: create, get, list, update, modules, delete");
}

async function checkTelemetry(device) {
  const message = new Message(JSON.stringify({ temperature: 21.5 }));
  message.messageId = "node-telemetry";
  message.contentType = "application/json";
  message.contentEncoding = "utf-8";
  message.properties.add("source", "sdk");
  await device.sendEvent(message);
  await Promise.all(Array.from({ length: 100 }, (_, i) => device.sendEvent(new Message(`n${i}`))));
  held("telemetry: 101 messages accepted");
}

// Commands with each outcome, and what the service hears of them.
async function checkCommands(device) {
  const outcomes = new Map();
  const receiver = await new Promise((resolve, reject) =>
    service.getFeedbackReceiver((error, made) => (error ? reject(error) : resolve(made))),
  );
  receiver.on("message", (feedback) => {
    for (const record of JSON.parse(feedback.data.toString())) outcomes.set(record.originalMessageId, record);
    receiver.emit("more");
  });

  const seen = [];
  device.on("message", async (message) => {
    seen.push(message.messageId);
    const first = seen.filter((id) => id === message.messageId).length === 1;
    if (message.messageId === "c-reject") await device.reject(message);
    else if (message.messageId === "c-abandon" && first) await device.abandon(message);
    else await device.complete(message);
  });

  for (const id of ["c-complete", "c-reject", "c-abandon"]) {
    const message = new ServiceMessage(`body of ${id}`);
    message.messageId = id;
    message.ack = "full";
    message.properties.add("how", id);
    await service.send(DEVICE, message);
  }
  while (outcomes.size < 3) await once(receiver, "more");
  assert.strictEqual(outcomes.get("c-complete").statusCode, "Success");
  assert.strictEqual(outcomes.get("c-reject").statusCode, "Rejected");
  assert.strictEqual(outcomes.get("c-abandon").statusCode, "Success");
  assert.strictEqual(outcomes.get("c-abandon").deviceId, DEVICE);
  assert.deepStrictEqual(seen, ["c-complete", "c-reject", "c-abandon", "c-abandon"]);
  assert.strictEqual((await failure(service.send("nobody", new ServiceMessage("x")))).name, "DeviceNotFoundError");
  held("commands: completed, rejected, abandoned and come again; feedback of each; nobody is DeviceNotFoundError");
}

async function checkMethods(device) {
  const call = { methodName: "reboot", payload: { delay: 3 }, responseTimeoutInSeconds: 5 };
  const absent = await failure(service.invokeDeviceMethod(DEVICE, call));
  assert.strictEqual(absent.response.statusCode, 404);
  assert.ok(absent.responseBody.includes("404103"));

  device.onDeviceMethod("reboot", (request, response) => response.send(207, { got: request.payload.delay }));
  device.onDeviceMethod("sleep", () => {});
  // The method links are attached behind the caller's back.
  const answer = (await service.invokeDeviceMethod(DEVICE, { ...call, connectTimeoutInSeconds: 30 })).result;
  assert.deepStrictEqual({ status: answer.status, payload: answer.payload }, { status: 207, payload: { got: 3 } });
  const late = await failure(service.invokeDeviceMethod(DEVICE, { ...call, methodName: "sleep" }));
  assert.strictEqual(late.name, "GatewayTimeoutError");
  held("methods: answered with status and payload, 404103 while the device is away, 504 when it says nothing");
}

async function checkTwin(device, deviceId, moduleId) {
  const get = () => (moduleId ? registry.getModuleTwin(deviceId, moduleId) : registry.getTwin(deviceId));
  const update = (patch, etag) =>
    moduleId
      ? registry.updateModuleTwin(deviceId, moduleId, patch, etag)
      : registry.updateTwin(deviceId, patch, etag);
  await update({ properties: { desired: { before: 1 } } }, "*");
  const twin = await device.getTwin();
  assert.strictEqual(twin.properties.desired.before, 1);
  const changes = [];
  twin.on("properties.desired", (patch) => {
    changes.push(patch);
    twin.emit("told");
  });
  if (changes.length === 0) await once(twin, "told");

  await new Promise((resolve, reject) =>
    twin.properties.reported.update({ battery: 80, net: { ip: "10.0.0.9" } }, (e) => (e ? reject(e) : resolve())),
  );
  await new Promise((resolve, reject) =>
    twin.properties.reported.update({ net: { ip: null, up: true } }, (e) => (e ? reject(e) : resolve())),
  );
  const seen = (await get()).responseBody;
  assert.deepStrictEqual(seen.properties.reported.net, { up: true });
  assert.strictEqual(seen.properties.reported.battery, 80);
  assert.strictEqual(seen.connectionState, "Connected");

  const told = once(twin, "told");
  await update({ tags: { site: "A" }, properties: { desired: { rate: 5, before: null } } }, seen.etag);
  await told;
  const last = changes[changes.length - 1];
  assert.strictEqual(last.rate, 5);
  assert.strictEqual(last.before, null);
  assert.strictEqual(last.$version, 3);
  assert.strictEqual((await failure(update({ tags: { site: "B" } }, seen.etag))).name, "InvalidEtagError");
  const refused = await new Promise((resolve) => twin.properties.reported.update({ "a b": 1 }, resolve));
  assert.ok(refused instanceof Error);
  held(`twin of ${moduleId ? "a module" : "a device"}: get, reported, desired, ETag, a name that is refused`);
}

async function checkModule() {
  const connection = `HostName=${facts.host};DeviceId=${DEVICE};ModuleId=${MODULE};SharedAccessKey=${facts.module_key};${gateway}`;
  const module = await open(ModuleClient.fromConnectionString(connection, Amqp));
  await module.sendEvent(new Message("from the module"));
  module.onMethod("read", (request, response) => response.send(200, { value: 7 }));
  const call = { methodName: "read", connectTimeoutInSeconds: 30 };
  const answer = (await service.invokeDeviceMethod(DEVICE, MODULE, call)).result;
  assert.strictEqual(answer.payload.value, 7);
  held("module: telemetry and a method");
  await checkTwin(module, DEVICE, MODULE);
  await module.close();
}

async function main() {
  await service.open();
  await checkRegistry();
  const connection = `HostName=${facts.host};DeviceId=${DEVICE};SharedAccessKey=${facts.device_key};${gateway}`;
  const device = await open(DeviceClient.fromConnectionString(connection, Amqp));
  await checkTelemetry(device);
  await checkCommands(device);
  await checkMethods(device);
  await checkTwin(device, DEVICE);
  await checkModule();
  await device.close();
  await service.close();
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
