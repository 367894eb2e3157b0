// What several pages use: the range of time, CSV, facts, alerts, marks.

import { h, button, badge } from "./dom.js";
import * as f from "./format.js";

export const RANGES = [[900, "15 min"], [3600, "1 h"], [6 * 3600, "6 h"], [86400, "24 h"], [7 * 86400, "7 d"], [30 * 86400, "30 d"], [365 * 86400, "1 y"]];

// Options in the address, without a new page in the history: others stay, empty ones are left out.
export function setOptions(options) {
  const [path, known] = location.hash.split("?");
  const all = { ...Object.fromEntries(new URLSearchParams(known ?? "")), ...options };
  const query = new URLSearchParams(Object.entries(all).filter(([, value]) => value));
  history.replaceState(null, "", `${path || "#/"}${query.size ? `?${query}` : ""}`);
}

export function ranges(options, changed) {
  const chosen = { seconds: Number(options.get("range")) || 3600, end: Number(options.get("to")) || 0 };
  const asked = options.get("range");
  const buttons = RANGES.map(([seconds, text]) => button(text, () => set({ seconds, end: 0 }), { "data-range": seconds }));
  const live = button("Now", () => set({ ...chosen, end: 0 }), { class: "live" });
  const node = h("div", { class: "ranges", role: "group", "aria-label": "Range of time" }, buttons, live);
  function mark() {
    for (const one of buttons) one.setAttribute("aria-pressed", String(Number(one.dataset.range) === chosen.seconds));
    live.hidden = !chosen.end;
  }
  function set(next) {
    Object.assign(chosen, next);
    setOptions({ range: chosen.seconds === 3600 ? "" : Math.round(chosen.seconds), to: chosen.end ? Math.round(chosen.end) : "" });
    mark();
    changed();
  }
  mark();
  // Where nothing was asked for and there is less than a quarter of an hour yet, that is shown.
  function begin(first) {
    if (asked || chosen.end || !first || Date.now() / 1000 - first > 900) return;
    chosen.seconds = 900;
    mark();
  }
  return { node, set, begin, live: () => !chosen.end, span: () => { const to = chosen.end || Date.now() / 1000; return { from: to - chosen.seconds, to }; } };
}

// A cell that a spreadsheet would take for a formula begins with an apostrophe (OWASP, CSV injection).
function cell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function csv(name, columns, rows) {
  const lines = [columns.map(cell).join(","), ...rows.map((row) => columns.map((column) => cell(row[column])).join(","))];
  save(name, new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
}

export function save(name, blob) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

// A file's name from names of devices and cameras, which may hold anything.
export const fileName = (...parts) => parts.join("-").replace(/[^A-Za-z0-9_.-]+/g, "_").replace(/^[.]+/, "").slice(0, 120);

// All curves of a page in one table: a row for each moment, a column for each line.
export function curvesCsv(name, curves) {
  const rows = new Map();
  const columns = ["time_utc"];
  for (const one of curves) {
    if (one.node.hidden || !one.data) continue;
    one.shown.forEach((line, place) => {
      const column = `${one.entity}.${line.field}`;
      columns.push(column);
      one.data[0].forEach((at, i) => {
        if (!rows.has(at)) rows.set(at, { time_utc: new Date(at * 1000).toISOString() });
        rows.get(at)[column] = one.data[place + 1][i];
      });
    });
  }
  csv(name, [...new Set(columns)], [...rows].sort((a, b) => a[0] - b[0]).map(([, row]) => row));
}

export const marksCsv = (name, marks) => csv(name, ["time_utc", "of", "what", "text"], marks.map((mark) => ({ time_utc: new Date(mark.at * 1000).toISOString(), of: mark.entity, what: mark.kind, text: mark.text })));

export const field = (name, value, title) => h("div", { class: "fact" }, h("dt", {}, name), h("dd", { title }, value ?? "–"));
export const time = (value) => h("time", { datetime: f.utc(value), title: f.utc(value) }, f.when(value));
export const deviceLink = (site, device) => `#/device/${encodeURIComponent(site)}/${encodeURIComponent(device)}`;
export const cameraLink = (site, device, camera) => `#/camera/${[site, device, camera].map(encodeURIComponent).join("/")}`;
export const panel = (title, ...content) => h("section", { class: "panel" }, h("h2", {}, title), ...content);

// Kinds of marks that belong on every curve of a device or a camera, and what each is called.
const KINDS = { config: "config", config_error: "config refused", state: "state" };
export const kindOf = (mark) => KINDS[mark.kind] ?? mark.kind.replaceAll("_", " ");

export function markList(marks) {
  if (!marks.length) return h("p", { class: "muted" }, "Nothing changed in this time.");
  return h("ol", { class: "marks" }, [...marks].reverse().slice(0, 200).map((mark) =>
    h("li", {}, time(mark.at), h("b", {}, kindOf(mark)), h("span", {}, [mark.entity === "info" ? "" : mark.entity, mark.kind === "restart" ? `started ${f.when(f.unix(mark.text))}` : mark.text].filter(Boolean).join(": ")))));
}

export const alertLink = (alert) => `#/alerts?${new URLSearchParams({ id: alert.id, site: alert.site, device: alert.device })}`;

export function alertBrief(alert) {
  return h("a", { class: `brief ${f.severity(alert.severity)}`, href: alertLink(alert) }, badge(f.severity(alert.severity), alert.severity || "alert"), h("span", {}, alert.what), time(alert.first_seen));
}
