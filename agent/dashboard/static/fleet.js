// The fleet: every device a row, a problem on top; search, state and site narrow it, and stand in the address.

import { h, button, badge, icon, sparkline } from "./dom.js";
import { fleet, subscribe, api } from "./store.js";
import { virtualTable } from "./table.js";
import { csv, setOptions } from "./parts.js";
import * as f from "./format.js";

const ROW = 40;
const COLUMNS = [
  { name: "problem", title: "State", sort: problem, class: "state", help: "Problems first" },
  { name: "name", title: "Device", sort: (row) => `${row.site}/${row.name}`, class: "name" },
  { name: "since", title: "Since", sort: (row) => -(row.since ?? 0), class: "num since" },
  { name: "cameras", title: "Cameras", sort: (row) => row.cameras_well - row.cameras, class: "num cameras", help: "Cameras that are well" },
  { name: "fps", title: "Frames/s", sort: (row) => row.fps, class: "num fps" },
  { name: "spark", title: "", class: "line" },
  { name: "p99_ms", title: "p99", sort: (row) => row.p99_ms, class: "num", help: "Capture to result, 99th percentile, the slowest camera" },
  { name: "drift", title: "Drift", sort: (row) => row.drift, class: "drift", help: "Score over its limit, the worst camera: above 1 it has drifted" },
  { name: "firing", title: "Alerts", sort: (row) => row.firing, class: "firing" },
  { name: "gpu", title: "GPU", sort: (row) => row.gpu, class: "num" },
  { name: "cpu", title: "CPU", sort: (row) => row.cpu, class: "num" },
  { name: "temperature", title: "Temp.", sort: heat, class: "num" },
  { name: "outbox", title: "Outbox", sort: (row) => row.outbox, class: "num", help: "Messages that wait" },
];
const collator = new Intl.Collator(undefined, { numeric: true }); // made once: localeCompare makes one for each pair
const DOWN_FIRST = new Set(["problem", "fps", "p99_ms", "drift", "firing", "gpu", "cpu", "temperature", "outbox"]);

function heat(row) {
  return Math.max(row.temperature ?? -300, row.gpu_temperature ?? -300);
}

// Larger is worse; equal ones stand by name.
export function problem(row) {
  if (row.state === "offline" || row.state === "silent") return 6;
  if (row.severity === "critical") return 5;
  if (row.state === "degraded" || row.cameras_well < row.cameras) return 4;
  if (row.severity === "warning") return 3;
  if (row.drift >= 1) return 2;
  return row.firing || row.state === "unknown" ? 1 : 0;
}

export function show(view, { options }) {
  document.title = "Fleet · Vedette";
  const wanted = { q: options.get("q") ?? "", state: options.get("state") ?? "", site: options.get("site") ?? "" };
  const order = { name: options.get("sort") ?? "problem", down: options.get("dir") ? options.get("dir") === "down" : true };
  const sparks = new Map();
  const summary = h("div", { class: "tiles" });
  const search = h("input", { type: "search", placeholder: "Filter  /", "aria-label": "Filter devices by text", value: wanted.q, oninput: () => { wanted.q = search.value; changed(); } });
  const site = h("select", { "aria-label": "Site", onchange: () => { wanted.site = site.value; changed(); } });
  const count = h("span", { class: "muted", role: "status" });
  const blank = h("p", { class: "blank" });
  const table = virtualTable({ columns: COLUMNS, height: ROW, draw: line, sorted: () => order, onsort: sort, label: "Devices" });
  view.append(h("h1", { class: "hidden" }, "Fleet"), summary,
    h("div", { class: "bar" }, search, site, count, h("span", { class: "grow" }), button("CSV", download, { title: "What is listed, as CSV" })), table.frame, blank);

  let rows = [];
  function pick() {
    const words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (row) =>
      (!wanted.state || wanted.state === kind(row)) && (!wanted.site || row.site === wanted.site) &&
      words.every((word) => `${row.site}/${row.name} ${row.state} ${row.model} ${row.version} ${row.reason}`.toLowerCase().includes(word));
    const by = COLUMNS.find((column) => column.name === order.name)?.sort ?? problem;
    const sign = order.down ? -1 : 1;
    rows = [...fleet.rows.values()].filter(fits);
    const keys = new Map(rows.map((row) => [row, by(row) ?? -Infinity]));
    rows.sort((a, b) => {
      const [x, y] = [keys.get(a), keys.get(b)];
      return x < y ? -sign : x > y ? sign : collator.compare(a.name, b.name) || collator.compare(a.site, b.site);
    });
  }

  function draw(force = true) {
    pick();
    const seen = table.set(rows, force);
    drawSummary();
    count.textContent = rows.length === fleet.rows.size ? `${rows.length} device${rows.length === 1 ? "" : "s"}` : `${rows.length} of ${fleet.rows.size} devices`;
    blank.textContent = rows.length ? "" : fleet.rows.size ? "No device fits the filter." : "No device has published yet. Does an agent run, is the prefix right, and may this user read it?";
    ask(seen);
  }

  function changed() {
    setOptions({ ...wanted, sort: order.name === "problem" ? "" : order.name, dir: order.name === "problem" && order.down ? "" : order.down ? "down" : "up" });
    draw();
  }

  function sort(name) {
    order.down = order.name === name ? !order.down : DOWN_FIRST.has(name);
    order.name = name;
    changed();
  }

  async function ask(seen) {
    const missing = seen.filter((row) => !sparks.has(row.number)).map((row) => row.number);
    if (!missing.length) return;
    for (const key of missing) sparks.set(key, []);
    const found = await api("sparks", { numbers: missing.slice(0, 100).join(",") }).catch(() => ({}));
    for (const [key, values] of Object.entries(found)) sparks.set(Number(key), values);
    table.paint(new Set(missing));
  }

  function line(row) {
    const hot = heat(row);
    const now = Date.now() / 1000;
    const cells = {
      problem: badge(f.level(row.state), row.state, row.reason),
      name: h("a", { href: `#/device/${encodeURIComponent(row.site)}/${encodeURIComponent(row.name)}` }, h("b", {}, row.name), h("small", {}, row.site)),
      since: h("span", { title: `${f.when(row.since)}, ${f.utc(row.since)}` }, row.since ? f.duration(now - row.since) : "–"),
      cameras: h("span", { class: row.cameras_well < row.cameras ? "warn" : "" }, row.cameras_well < row.cameras && icon("warn"), row.cameras ? `${row.cameras_well}/${row.cameras}` : "–"),
      fps: f.number(row.fps, 1),
      spark: sparkline(sparks.get(row.number) ?? []),
      p99_ms: row.p99_ms === null ? "–" : `${f.number(row.p99_ms)} ms`,
      drift: meter(row),
      firing: row.firing ? badge(f.severity(row.severity), String(row.firing), row.severity) : h("span", { class: "muted" }, "0"),
      gpu: f.share(row.gpu),
      cpu: f.share(row.cpu),
      temperature: h("span", { class: hot >= 85 ? "warn" : "" }, hot >= 85 && icon("warn"), f.degrees(hot > -300 ? hot : null)),
      outbox: f.number(row.outbox),
    };
    return h("div", { class: `row p${problem(row)} ${problem(row) === 6 ? "stale" : ""}`, role: "row" }, COLUMNS.map((column) => h("div", { role: "cell", class: `cell ${column.class}` }, cells[column.name])));
  }

  function meter(row) {
    if (row.drift === null) return h("span", { class: "muted" }, "–");
    const over = row.drift >= 1;
    return h("span", { class: `meter ${over ? "over" : ""}`, title: `${row.drift_camera}: ${row.drift} × its limit` },
      h("i", { style: { width: `${Math.min(100, row.drift * 50)}%` } }), h("em", {}, over && icon("warn"), f.number(row.drift, 2)));
  }

  function drawSummary() {
    const all = [...fleet.rows.values()];
    const total = (pickOne) => all.reduce((sum, row) => sum + (pickOne(row) ?? 0), 0);
    const counts = {};
    for (const row of all) counts[kind(row)] = (counts[kind(row)] ?? 0) + 1;
    const tile = (name, value, note, level) =>
      h("button", { type: "button", class: `tile ${level}`, "aria-pressed": String(wanted.state === name), onclick: () => { wanted.state = wanted.state === name ? "" : name; changed(); } },
        h("span", { class: "what" }, icon(level), note), h("b", {}, value));
    const fact = (value, note) => h("div", { class: "tile" }, h("span", { class: "what" }, note), h("b", {}, value));
    const many = (name) => counts[name] ?? 0;
    const focused = document.activeElement?.closest?.(".tile") && [...summary.children].indexOf(document.activeElement);
    summary.replaceChildren(
      tile("offline", many("offline"), "Offline or silent", many("offline") ? "bad" : "off"),
      tile("problem", many("problem"), "With a problem", many("problem") ? "warn" : "off"),
      tile("well", many("well"), "Well", "good"),
      fact(`${total((row) => row.cameras_well)}/${total((row) => row.cameras)}`, "Cameras well"),
      fact(f.number(total((row) => row.fps), 1), "Frames a second"),
      fact(f.number(total((row) => row.firing) + many("offline")), "Alerts firing"));
    if (typeof focused === "number" && focused >= 0) summary.children[focused]?.focus();
    const sites = [...new Set(all.map((row) => row.site))].sort();
    if (site.options.length !== sites.length + 1) site.replaceChildren(h("option", { value: "" }, "All sites"), ...sites.map((name) => h("option", { value: name, selected: name === wanted.site }, name)));
  }

  function download() {
    csv("fleet.csv", ["site", "name", "state", "since_utc", "cameras", "cameras_well", "fps", "p99_ms", "drift", "firing", "severity", "gpu", "cpu", "memory", "temperature", "gpu_temperature", "outbox", "version", "model", "reason"], rows.map((row) => ({ ...row, since_utc: row.since ? new Date(row.since * 1000).toISOString() : "" })));
  }

  const scrolled = () => ask(table.paint());
  window.addEventListener("scroll", scrolled, { passive: true });
  window.addEventListener("resize", scrolled);
  const stop = subscribe((change) => {
    for (const key of change.touched ?? []) {
      const values = sparks.get(key);
      const row = fleet.rows.get(key);
      if (values && row?.fps !== null) sparks.set(key, [...values, row.fps].slice(-24));
    }
    if (change.all || change.touched?.size || change.removed) draw(change.all ? true : change.touched);
  });
  draw();
  return () => {
    stop();
    window.removeEventListener("scroll", scrolled);
    window.removeEventListener("resize", scrolled);
  };
}

const kind = (row) => (problem(row) >= 6 ? "offline" : problem(row) ? "problem" : "well");
