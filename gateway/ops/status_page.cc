// SPDX-License-Identifier: Apache-2.0
#include "gateway/ops/status_page.h"

namespace trunkline::ops {

const std::string_view kStatusPage = R"page(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>trunkline</title>
<link rel="icon" href="data:,">
<style>
:root { --ink: #1c2733; --dim: #64717f; --line: #dfe4ea; --paper: #fff; --ground: #f4f6f8;
        --ok: #1a7f4b; --degraded: #b86e00; --failed: #c0262d; color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9ee; --dim: #93a1af; --line: #313c47; --paper: #1b232b; --ground: #12181e;
          --ok: #4cc38a; --degraded: #e5a24a; --failed: #ff6b6f; } }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--ground); }
main { max-width: 75rem; margin: 0 auto; padding: 1rem; display: grid; gap: 1rem; }
section, header { background: var(--paper); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem; }
header { border-left: .5rem solid var(--dim); }
header.ok { border-left-color: var(--ok); } header.degraded { border-left-color: var(--degraded); }
header.failed { border-left-color: var(--failed); }
h1 { margin: 0; font-size: 1.4rem; } h2 { margin: 0 0 .5rem; font-size: 1rem; }
p { margin: .25rem 0; } .dim { color: var(--dim); } .bad { color: var(--failed); }
.pair { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); }
dl { margin: 0; display: grid; grid-template-columns: auto 1fr; gap: .15rem 1rem; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
progress { width: 100%; height: .7rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
td.wide { white-space: normal; min-width: 14rem; overflow-wrap: anywhere; } td.number, th.number { text-align: right; }
input { font: inherit; padding: .3rem .5rem; border: 1px solid var(--line); border-radius: .3rem; background: var(--paper);
        color: var(--ink); }
.bar { display: flex; justify-content: space-between; align-items: center; flex-wrap: wrap; gap: .5rem; margin-bottom: .5rem; }
.bar h2 { margin: 0; }
</style>
<main>
<header id="verdict" role="status" aria-live="polite"><h1>…</h1><p></p><p class="dim"></p></header>
<div class="pair">
<section><h2>Hub</h2><dl id="hub"></dl></section>
<section><h2>Safety</h2><progress id="room" max="1" value="0" aria-label="how full the spool is"></progress><dl id="safety"></dl></section>
<section><h2>Adapters</h2><dl id="adapters"></dl></section>
</div>
<section><div class="bar"><h2 id="count">Devices</h2><input id="filter" type="search" placeholder="filter by id or fault" aria-label="filter"></div>
<div class="scroll"><table><thead><tr><th>Device</th><th>Adapter</th><th>Presence</th><th>State</th><th class="number">Waiting</th>
<th class="number">Accepted</th><th>Last heard</th><th>Fault</th></tr></thead><tbody id="devices"></tbody></table></div>
<p id="more" class="dim"></p></section>
<p class="dim" id="foot"></p>
</main>
<script>
"use strict";
const MOST = 500, PAUSE = 3000;
const $ = (id) => document.getElementById(id);
let last = null;

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; ++unit; }
  return (unit ? value.toFixed(1) : value) + " " + units[unit];
}
const seconds = (ms) => Math.ceil(ms / 1000) + " s";

function span(time) {
  if (time === null || time === undefined) return "";
  if (time < 120) return Math.round(time) + " s";
  if (time < 7200) return Math.round(time / 60) + " min";
  if (time < 172800) return Math.round(time / 3600) + " h";
  return Math.round(time / 86400) + " days";
}
const ago = (time) => time ? span(Math.max(0, (new Date(last.time) - new Date(time)) / 1000)) + " ago" : "never";

function pairs(list, rows) {
  list.replaceChildren();
  for (const [name, value, bad] of rows) {
    if (value === null || value === undefined || value === "") continue;
    const term = document.createElement("dt"), text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    if (bad) text.className = "bad";
    list.append(term, text);
  }
}

// Trouble first, then what waits, then by name.
function order(a, b) {
  return (b.fault ? 1 : 0) - (a.fault ? 1 : 0) || b.waiting - a.waiting || (a.id < b.id ? -1 : 1);
}

function devices() {
  const wanted = $("filter").value.toLowerCase();
  const all = (last.devices || []).filter((d) => !wanted || (d.id + " " + d.fault).toLowerCase().includes(wanted));
  all.sort(order);
  const rows = all.slice(0, MOST).map((d) => {
    const row = document.createElement("tr");
    const next = d.next_try_ms === null || d.next_try_ms === undefined ? "" : "next try in " + seconds(d.next_try_ms);
    const cells = [[d.id], [d.adapter || ""], [d.presence], [d.state], [d.waiting, "number"], [d.accepted, "number"],
                   [ago(d.last_heard)], [[d.fault, next].filter(Boolean).join("; "), d.fault ? "wide bad" : "wide"]];
    for (const [text, kind] of cells) {
      const cell = document.createElement("td");
      cell.textContent = text;
      if (kind) cell.className = kind;
      row.append(cell);
    }
    return row;
  });
  $("devices").replaceChildren(...rows);
  const total = (last.devices || []).length, away = (last.devices || []).filter((d) => d.presence !== "reachable").length;
  $("count").textContent = total + (total === 1 ? " device, " : " devices, ") + away + " away";
  $("more").textContent = all.length > MOST ? "The first " + MOST + " of " + all.length + "; the filter finds the others." : "";
}

function show() {
  const head = $("verdict"), [title, reason, action] = head.children;
  head.className = last.verdict;
  title.textContent = last.verdict;
  reason.textContent = last.reason || "Nothing to do.";
  action.textContent = last.action || "";
  const hub = last.hub || {};
  pairs($("hub"), [["state", hub.state], ["host", hub.host], ["address", hub.address], ["connections", hub.connections],
    ["opened so far", hub.connections_opened], ["fault", hub.state === "connected" ? "" : hub.fault, true],
    ["next try in", hub.next_try_ms === null || hub.next_try_ms === undefined ? "" : seconds(hub.next_try_ms)],
    ["throttled", hub.throttled ? "yes" : "no", hub.throttled]]);
  const safety = last.safety || {};
  $("room").max = safety.room_bytes || 1;
  $("room").value = safety.used_bytes || 0;
  pairs($("safety"), [["spool", bytes(safety.used_bytes || 0) + " of " + bytes(safety.room_bytes || 0)],
    ["waiting", safety.waiting], ["unsettled", safety.unsettled], ["dead-lettered", safety.dead_lettered, safety.dead_lettered > 0],
    ["full without the hub in", span(safety.full_in_s)], ["drained in", span(safety.drained_in_s)],
    ["fault", safety.fault, true], ["set aside", safety.set_aside, true]]);
  pairs($("adapters"), (last.adapters || []).map((a) => [a.name, (a.healthy ? "works" : "does not work") + (a.detail ? ": " + a.detail : ""), !a.healthy]));
  devices();
  $("foot").textContent = "trunkline " + last.version + ", as of " + last.time;
  document.title = "trunkline: " + last.verdict;
}

async function look() {
  try {
    const answer = await fetch("status.json", { cache: "no-store", signal: AbortSignal.timeout(10000) });
    last = await answer.json();
    show();
  } catch (error) {
    const head = $("verdict");
    head.className = "failed";
    head.children[0].textContent = "no answer";
    head.children[1].textContent = "The gateway does not answer: " + error.message;
    head.children[2].textContent = last ? "What is below is from " + last.time + "." : "";
    document.title = "trunkline: no answer";
  }
  setTimeout(look, PAUSE);
}
$("filter").addEventListener("input", () => last && devices());
look();
</script>
</html>
)page";

}  // namespace trunkline::ops
