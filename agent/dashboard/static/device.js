// One device: its state, what the box does over time, its cameras, its alerts, what it is.

import { h, badge, button } from "./dom.js";
import { find, subscribe, api, problem } from "./store.js";
import { Curves } from "./charts.js";
import { ranges, field, time, cameraLink, panel, markList, alertBrief, curvesCsv, marksCsv, fileName } from "./parts.js";
import { controls } from "./controls.js";
import { reportButton } from "./report.js";
import * as f from "./format.js";

const HOST = [
  ["Processor and memory", [["cpu_ratio", "CPU"], ["memory_used_ratio", "Memory"], ["process_cpu_ratio", "Agent's CPU"]], f.percent],
  ["Temperature", [["temperature_celsius", "Hottest sensor"]], f.degrees],
  ["Model", [["model_busy_ratio", "Busy"], ["model_busy_limit_ratio", "May be busy"]], f.percent],
  ["Power of the board", [["power_watts", "Power"]], (value) => `${f.number(value, 1)} W`],
  ["Memory of the agent", [["process_memory_bytes", "Resident"]], f.bytes],
  ["Clocks", [["cpu_clock_hertz", "Processor"], ["emc_clock_hertz", "Memory"]], f.hertz],
  ["Disk", [["disk_used_ratio", "State directory"], ["root_disk_used_ratio", "/"]], f.percent],
  ["Network", [["network_receive_bytes_per_second", "Received"], ["network_transmit_bytes_per_second", "Sent"]], (value) => `${f.bytes(value)}/s`],
  ["Outbox", [["outbox_messages", "Messages that wait"]], f.number],
];
const GPU = [
  ["use", [["gpu_utilization_ratio", "Use"], ["gpu_memory_used_ratio", "Memory"], ["throttled_ratio", "Throttled"]], f.percent],
  ["temperature", [["gpu_temperature_celsius", "Temperature"]], f.degrees],
  ["power", [["gpu_power_watts", "Power"], ["gpu_power_limit_watts", "Limit"]], (value) => `${f.number(value, 1)} W`],
  ["clock", [["gpu_clock_sm_hertz", "Multiprocessors"], ["gpu_clock_memory_hertz", "Memory"]], f.hertz],
];
const FACTS = [
  ["version", "Agent"], ["model_name", "Model"], ["model_provider", "Runs on"], ["model_sha256", "Model's hash"], ["profile", "Profile"], ["config_sha256", "Config's hash"], ["config_error", "Config refused"],
  ["restart_needed_for", "Restart needed for"], ["machine_model", "Machine"], ["cpu_model", "Processor"], ["cpu_count", "Threads"], ["gpu_0_name", "GPU"], ["gpu_driver_version", "Driver"],
  ["cuda_version", "CUDA"], ["jetpack_version", "JetPack"], ["os_name", "System"], ["kernel_version", "Kernel"], ["architecture", "Architecture"], ["python_version", "Python"],
];

export function show(view, { names: [site, device], options }) {
  document.title = `${device} · Vedette`;
  const key = { site, device };
  const range = ranges(options, load);
  const head = h("div", { class: "titles" });
  const cameras = h("div", { class: "cards" });
  const firing = h("div", { class: "briefs" });
  const charts = h("div", { class: "charts" });
  const facts = h("dl", { class: "facts" });
  const marks = h("div");
  let changes = [];
  const table = button("CSV", () => curvesCsv(fileName(site, device, "curves.csv"), curves.values()), { title: "The curves as they are drawn, as CSV" });
  const list = button("CSV", () => marksCsv(fileName(site, device, "changes.csv"), changes), { title: "What changed, as CSV" });
  view.append(head, firing, panel("Cameras", cameras), h("div", { class: "bar" }, h("h2", {}, "The box over time"), h("span", { class: "grow" }), range.node, table, reportButton({ site, device }, range)), charts,
    h("section", { class: "panel" }, h("div", { class: "bar" }, h("h2", {}, "What changed"), h("span", { class: "grow" }), list), marks), controls({ site, device }), panel("What it is", facts));

  const zoom = (from, to) => range.set({ seconds: to - from, end: to });
  const curves = new Map();
  const add = (entity, title, series, format) => {
    const name = `${entity} ${title}`;
    if (curves.has(name)) return;
    const one = new Curves(title, series.map(([part, label]) => ({ field: part, label })), format, { entity, zoom });
    curves.set(name, one);
    charts.append(one.node);
  };
  for (const [title, series, format] of HOST) add("host", title, series, format);

  function titles() {
    const row = find(site, device);
    head.replaceChildren(h("nav", { class: "crumbs", "aria-label": "Path" }, h("a", { href: "#/" }, "Fleet"), " / ", h("a", { href: `#/?site=${encodeURIComponent(site)}` }, site)),
      h("h1", {}, device, row ? badge(f.level(row.state), row.state) : badge("off", "not known")),
      h("p", { class: "muted" }, row?.since ? ["since ", time(row.since)] : "", row?.model && ` · ${row.model}`, row?.version && ` · version ${row.version}`),
      row?.reason ? h("p", { class: "reason" }, row.reason) : "");
  }

  async function about() {
    const found = await api("device", key);
    range.begin(found.first);
    const info = found.latest.info ?? {};
    for (const entity of Object.keys(found.latest).filter((name) => name.startsWith("gpu/")).sort())
      for (const [title, series, format] of GPU) add(entity, `GPU ${entity.slice(4)}: ${title}`, series, format);
    firing.replaceChildren(...found.alerts.map(alertBrief));
    const known = Object.keys(found.latest).filter((name) => name.startsWith("camera/")).sort(); // also those of earlier configs
    const named = typeof info.cameras === "string" ? info.cameras.split(",") : null;
    cameras.replaceChildren(...(known.length ? known.map((name) => card(name.slice(7), found.latest[name], named)) : [h("p", { class: "muted" }, "No camera has published yet.")]));
    facts.replaceChildren(...FACTS.filter(([name]) => info[name] !== undefined && info[name] !== "").map(([name, label]) => field(label, name.endsWith("_sha256") ? String(info[name]).slice(0, 12) : info[name], String(info[name]))));
  }

  function card(name, latest, named) {
    const ghost = named && !named.includes(name);
    const classes = Object.entries(latest).filter(([part, value]) => part.startsWith("detections_") && part !== "detections_per_frame" && value > 0).sort((a, b) => b[1] - a[1]).slice(0, 3);
    return h("a", { class: "card", href: cameraLink(site, device, name) },
      h("div", { class: "cardhead" }, h("b", {}, name), ghost ? badge("off", "no longer configured") : badge(f.level(latest.state), latest.state ?? "?", latest.state_reason)),
      h("div", { class: "figures" }, figure(f.number(latest.fps_inferred, 1), "frames/s"), figure(f.seconds(latest.latency_p99_seconds), "p99"), figure(f.number(latest.drift_ratio, 2), "drift", latest.drift_ratio >= 1)),
      h("small", {}, latest.drift_state === "drift" ? `drift: ${["unknown", "none", undefined].includes(latest.drift_cause) ? latest.drift_feature : latest.drift_cause}` : classes.map(([part, value]) => `${part.slice(11).replaceAll("_", " ")} ${value}`).join(" · ") || " "));
  }

  async function load() {
    const span = range.span();
    const found = changes = await api("marks", { ...key, ...span });
    const shown = found.filter((mark) => !mark.entity.startsWith("camera/"));
    marks.replaceChildren(markList(found));
    await Promise.all([...curves.values()].map((one) => one.load(key, span, shown)));
  }

  const refresh = repeat(async () => { titles(); await about(); if (range.live()) await load(); });
  titles();
  first(async () => { await about(); await load(); });
  const stop = subscribe((change) => {
    const row = find(site, device);
    if (change.alerts || change.all || (row && change.touched?.has(row.number))) refresh();
  });
  const timer = setInterval(refresh, 30000);
  return () => { stop(); clearInterval(timer); for (const one of curves.values()) one.close(); };
}

export const figure = (value, name, warn) => h("span", { class: warn ? "warn" : "" }, h("b", {}, value), h("small", {}, name));

// What a page begins with: where that fails it says so, and the next change tries again.
export const first = (work) => work().then(() => problem(null), problem);

// At most one run at a time, and at most one every five seconds.
export function repeat(work) {
  let at = -5000;
  let busy = false;
  return async () => {
    if (busy || performance.now() - at < 5000) return;
    busy = true;
    try { await work(); problem(null); } catch (error) { problem(error); } // the next change tries again
    [busy, at] = [false, performance.now()];
  };
}
