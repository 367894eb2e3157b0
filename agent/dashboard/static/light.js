// Day and night of a camera: when it saw by which light, and its levels in each.

import { h } from "./dom.js";
import { api } from "./store.js";
import { strip } from "./strip.js";
import * as f from "./format.js";

const LEVELS = [
  ["detections_per_frame", "Boxes a frame", (value) => f.number(value, 2)], ["confidence_mean", "Their score", (value) => f.number(value, 2)],
  ["feature_brightness_mean", "Brightness", (value) => f.number(value)], ["fps_inferred", "Frames a second", (value) => f.number(value, 1)],
  ["latency_p99_seconds", "p99", f.seconds], ["drift_ratio", "Drift over its limit", (value) => f.number(value, 2)],
];

export function light() {
  const place = h("div", { class: "states" });
  const table = h("div");
  const node = h("section", { class: "panel", hidden: true }, h("h2", {}, "Day and night"), place, table);

  async function load(key, span) {
    const list = await api("states", { ...key, ...span, kind: "light" });
    node.hidden = !list.length;
    if (!list.length) return;
    strip(place, list, span, { of: "Light", level: (name) => (name === "day" ? "day" : name === "night" ? "night" : "infrared") });
    const found = await api("curves", { ...key, ...span, fields: LEVELS.map(([field]) => field).join(",") });
    const names = [...new Set(list.map((one) => one.text))];
    const at = found.times.map((when) => list.findLast((one) => one.at <= when)?.text);
    const rows = LEVELS.map(([field, label, format]) => {
      const cells = names.map((name) => levels(found.series[field].filter((value, i) => value !== null && at[i] === name), format));
      return cells.some((one) => one !== "–") && h("tr", {}, h("th", { scope: "row" }, label), cells.map((one) => h("td", {}, one)));
    }).filter(Boolean);
    table.replaceChildren(rows.length ? h("table", { class: "small num" }, h("caption", {}, "Median of the windows, and where eight of ten lie"),
      h("thead", {}, h("tr", {}, ["", ...names].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows)) : "");
  }

  return { node, load };
}

function levels(values, format) {
  if (!values.length) return "–";
  const sorted = [...values].sort((a, b) => a - b);
  const rank = (share) => format(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]);
  const [low, middle, high] = [rank(0.1), rank(0.5), rank(0.9)];
  return low === high ? middle : `${middle} (${low} to ${high})`;
}
