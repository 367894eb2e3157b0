// What stands for a camera: the advice of the agent, and how right the model is, with its band.

import { h, badge } from "./dom.js";
import * as f from "./format.js";

const CALM = new Set(["nothing", "wait"]);

export function advice(found) {
  if (!found?.words || found.action === "nothing") return "";
  const listed = (title, text) => text && h("div", {}, h("h4", {}, title), h("ul", { class: "scores" }, String(text).split("; ").map((one) => h("li", {}, one))));
  return h("div", { class: "advice" },
    h("p", {}, badge(CALM.has(found.action) ? "good" : "warn", String(found.action ?? "").replaceAll("_", " ")), " ", h("b", {}, found.words), found.cause_confidence > 0 && h("span", { class: "muted" }, ` (${f.percent(found.cause_confidence)} sure of the cause)`)),
    found.command && h("p", {}, "On the device: ", h("code", {}, found.command)),
    (found.for_it || found.against) && h("details", {}, h("summary", {}, "What speaks for it, and against"), listed("For it", found.for_it), listed("Against it", found.against)));
}

// Every share that comes with a band (f1_ratio, f1_low_ratio, f1_high_ratio), whatever it is called.
export function estimates(...sources) {
  const rows = [];
  for (const fields of sources) {
    for (const name of Object.keys(fields ?? {})) {
      const stem = name.replace(/_ratio$/, "");
      const [value, low, high] = ["", "_low", "_high"].map((part) => fields[`${stem}${part}_ratio`]);
      if (stem !== name && [value, low, high].every((one) => typeof one === "number")) rows.push([...worded(stem, fields), value, low, high]);
    }
  }
  if (!rows.length) return "";
  const labelled = sources.find((one) => one?.frames_labelled);
  return h("div", { class: "estimates" }, rows.map(([name, sure, value, low, high]) =>
    h("div", { class: "estimate" }, h("span", { class: "muted" }, name), h("b", {}, f.percent(value)), h("small", {}, `${sure} ${f.percent(low)} to ${f.percent(high)}`), band(value, low, high))),
    labelled && h("small", {}, `by ${f.number(labelled.frames_labelled)} labelled frames, ${f.when(labelled.evaluated_at)}`));
}

// What a share is called, and how sure its band is (docs/wire.md).
function worded(stem, fields) {
  if (stem !== "accuracy_estimate") return [stem.replaceAll("_", " ").replace(/^f1$/, "F1"), "in 95 of 100 draws"];
  const trust = fields.accuracy_estimate_trust;
  return [`F1, estimated without labels${typeof trust === "number" ? `, trust ${f.percent(trust)}` : ""}`, "in 9 of 10 cases"];
}

const band = (value, low, high) => h("span", { class: "band", "aria-hidden": "true" },
  h("i", { style: { left: `${100 * low}%`, width: `${100 * Math.max(0.005, high - low)}%` } }), h("em", { style: { left: `${100 * value}%` } }));
