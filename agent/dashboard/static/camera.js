// One camera: frames, latency by stage, detections by class, its states over time, and drift in depth.

import { h, s, badge } from "./dom.js";
import { find, subscribe, api } from "./store.js";
import { Curves, densities } from "./charts.js";
import { ranges, time, deviceLink, panel, alertBrief } from "./parts.js";
import { figure, repeat } from "./device.js";
import * as f from "./format.js";

const STAGES = ["decode", "wait", "preprocess", "inference", "postprocess"];
const FRAMES = [["frames_seen", "Seen"], ["frames_inferred", "Inferred"], ["frames_dropped", "Dropped"], ["frames_skipped", "Skipped"], ["frames_still", "Still"], ["frames_failed", "Failed"]];

export function show(view, { names: [site, device, camera], options }) {
  document.title = `${camera} on ${device} · Vedette`;
  const key = { site, device, entity: `camera/${camera}` };
  const range = ranges(options, load);
  const zoom = (from, to) => range.set({ seconds: to - from, end: to });
  const head = h("div", { class: "titles" });
  const firing = h("div", { class: "briefs" });
  const states = h("div", { class: "states" });
  const heat = h("div", { class: "heat" });
  const verdict = h("p", { class: "verdict" });
  const compared = h("div", { class: "compared" });
  const charts = h("div", { class: "charts" });
  view.append(head, firing, h("div", { class: "bar" }, h("h2", {}, "State"), h("span", { class: "grow" }), range.node), states,
    panel("Drift", verdict, heat, compared), charts);

  const curve = (title, series, format) => {
    const one = new Curves(title, series.map(([field, label]) => ({ field, label })), format, { entity: key.entity, zoom });
    charts.append(one.node);
    return one;
  };
  const curves = [
    curve("Frames a second", [["fps_in", "Camera"], ["fps_inferred", "Model"]], (value) => f.number(value, 1)),
    curve("Capture to result", [["latency_p50_seconds", "Median"], ["latency_p99_seconds", "p99"]], f.seconds),
    curve("Stages, median", STAGES.map((stage) => [`${stage}_p50_seconds`, stage]), f.seconds),
    curve("Stages, p99", STAGES.map((stage) => [`${stage}_p99_seconds`, stage]), f.seconds),
    curve("What became of frames", FRAMES, f.number),
    curve("Boxes a frame, and their scores", [["detections_per_frame", "Boxes"], ["confidence_mean", "Score"]], (value) => f.number(value, 2)),
    curve("Drift over its limit", [["drift_ratio", "Worst feature"], ["drift_joint_ratio", "All together"], ["drift_classes_ratio", "Mix of classes"]], (value) => f.number(value, 2)),
  ];
  let classes = null;
  let chosen = options.get("feature") ?? "";
  let plot = null;

  function titles(latest) {
    head.replaceChildren(h("nav", { class: "crumbs", "aria-label": "Path" }, h("a", { href: "#/" }, "Fleet"), " / ", h("a", { href: deviceLink(site, device) }, `${site}/${device}`)),
      h("h1", {}, camera, latest ? badge(f.level(latest.state), latest.state ?? "?") : badge("off", "not known")),
      latest?.state_reason ? h("p", { class: "reason" }, latest.state_reason) : "",
      latest ? h("div", { class: "figures wide" }, figure(f.number(latest.fps_in, 1), "frames/s of the camera"), figure(f.number(latest.fps_inferred, 1), "frames/s inferred"), figure(f.seconds(latest.latency_p50_seconds), "median"),
        figure(f.seconds(latest.latency_p99_seconds), "p99"), figure(f.number(latest.detections_per_frame, 1), "boxes a frame"), figure(f.number(latest.drift_ratio, 2), "drift over its limit", latest.drift_ratio >= 1)) : "");
    verdict.replaceChildren(...words(latest ?? {}));
  }

  async function about() {
    const found = await api("device", key);
    titles(found.latest[key.entity]);
    firing.replaceChildren(...found.alerts.filter((alert) => alert.labels?.camera === camera).map(alertBrief));
  }

  async function load() {
    const span = range.span();
    const [marks, list, cells, names] = await Promise.all([api("marks", { ...key, ...span }), api("states", { ...key, ...span }), api("heat", { ...key, ...span }), api("names", { ...key, ...span })]);
    drawStates(list, span);
    drawHeat(cells);
    const found = names.filter((name) => name.startsWith("detections_") && name !== "detections_per_frame").slice(0, 8);
    if (found.length && String(found) !== String(classes?.series.map((one) => one.field))) {
      classes?.close();
      classes?.node.remove();
      classes = curve("Boxes by class", found.map((name) => [name, name.slice(11).replaceAll("_", " ")]), f.number);
    }
    const mine = marks.filter((mark) => mark.entity === key.entity || (mark.entity !== "host" && !mark.entity.startsWith("camera/")));
    await Promise.all([...curves, ...(classes ? [classes] : [])].map((one) => one.load(key, span, mine)));
    if (chosen) await compare(chosen);
  }

  function drawStates(list, { from, to }) {
    if (!list.length) return states.replaceChildren(h("p", { class: "muted" }, "No state is known in this time."));
    const pieces = list.map((one, i) => {
      const [start, end] = [Math.max(one.at, from), list[i + 1]?.at ?? to];
      const name = one.text.split(":")[0];
      const title = `${one.text}\n${f.when(start)} to ${f.when(end)} (${f.utc(start)})`;
      return h("span", { class: `piece ${f.level(name)}`, title, style: { "flex-grow": Math.max(0, end - start) } }, h("em", {}, name));
    });
    states.replaceChildren(h("div", { class: "strip", role: "img", "aria-label": `States: ${list.map((one) => `${one.text} from ${f.when(one.at)}`).join("; ")}` }, pieces),
      h("div", { class: "ends muted" }, time(from), time(to)));
  }

  function drawHeat(found) {
    if (!found.features.length) return heat.replaceChildren(h("p", { class: "muted" }, "No drift was judged in this time."));
    const columns = found.cells[0].length;
    const rows = found.features.map((name, y) => h("div", { class: "heatrow" },
      name === "all" ? h("span", { class: "feature" }, "worst feature") : h("button", { type: "button", class: "feature", "aria-pressed": String(name === chosen), onclick: () => compare(name) }, name.replaceAll("_", " ")),
      s("svg", { viewBox: `0 0 ${columns} 1`, preserveAspectRatio: "none", role: "img", "aria-label": `${name}: largest ${f.number(Math.max(...found.cells[y].map((cell) => cell ?? 0)), 2)} times its limit` },
        found.cells[y].map((cell, x) => cell !== null && s("rect", { x, y: 0, width: 1.02, height: 1, class: `h${step(cell)}` }, s("title", {}, `${name}: ${f.number(cell, 2)} × its limit, ${f.when(found.start + (x + 0.5) * found.width)}`)))),
      h("b", { class: "largest" }, f.number(Math.max(...found.cells[y].map((cell) => cell ?? 0)), 2))));
    heat.replaceChildren(...rows, h("div", { class: "key muted" }, "ratio to limit ", [0, 1, 2, 3, 4, 5].map((i) => h("span", { class: `swatch h${i}` }, ["<0.25", "0.5", "0.75", "<1", "≥1", "≥2"][i]))));
  }

  async function compare(name) {
    chosen = name;
    for (const one of heat.querySelectorAll("button.feature")) one.setAttribute("aria-pressed", String(one.textContent === name.replaceAll("_", " ")));
    const { from, to } = range.span();
    const found = await api("feature", { ...key, from: Math.min(from, to - 86400), to, feature: name });
    plot?.destroy();
    plot = null;
    const place = h("div", { class: "plot" });
    const rows = found.parts.map((part, i) => h("tr", {}, h("th", { scope: "row" }, ["Before", "Newest"][i]), ...(part ? part.quantiles.map((value) => h("td", {}, f.significant(value))) : [h("td", { colspan: 3 }, "no sketch")]), h("td", {}, part ? f.number(part.count) : "–")));
    compared.replaceChildren(h("h3", {}, `${name.replaceAll("_", " ")}: the newest sketch against those before it`),
      found.axis.length ? place : h("p", { class: "muted" }, "The device has sent no sketch of this feature in this time: they come every hour (reports.sketch_interval)."),
      found.axis.length ? h("table", { class: "small" }, h("thead", {}, h("tr", {}, ["", "p10", "p50", "p90", "frames"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows)) : "",
      found.end ? h("p", { class: "muted" }, "Newest: ", time(found.start), " to ", time(found.end), `. Before: ${found.hours - 1} messages of the same model. The reference itself stays on the device: vedette drift explain.`) : "");
    if (found.axis.length) plot = densities(place, found, ["Before", "Newest"]);
  }

  const refresh = repeat(async () => { await about(); if (range.live()) await load(); });
  about().then(load);
  const stop = subscribe((change) => {
    const row = find(site, device);
    if (change.alerts || change.all || (row && change.touched?.has(row.number))) refresh();
  });
  const timer = setInterval(refresh, 30000);
  return () => { stop(); clearInterval(timer); plot?.destroy(); for (const one of [...curves, ...(classes ? [classes] : [])]) one.close(); };
}

const step = (value) => (value >= 2 ? 5 : value >= 1 ? 4 : value >= 0.75 ? 3 : value >= 0.5 ? 2 : value >= 0.25 ? 1 : 0);

const MEANINGS = {
  normal: "The camera looks as its reference does.", drift: "The camera has drifted from its reference.", silent: "The camera is compared, but its alarm is suppressed.",
  learning: "The reference is being recorded.", unusable: "The reference cannot be used.", none: "There is no reference: nothing is judged.",
};

function words(latest) {
  if (!latest.drift_state) return [h("span", { class: "muted" }, "No verdict yet.")];
  const parts = [badge(f.level(latest.drift_state), latest.drift_state), h("span", {}, MEANINGS[latest.drift_state] ?? "")];
  if (latest.drift_feature) parts.push(h("span", {}, `${latest.drift_feature.replaceAll("_", " ")} stands out most, at ${f.number(latest.drift_ratio, 2)} times its limit.`));
  if (latest.drift_since) parts.push(h("span", {}, "Since ", time(latest.drift_since), "."));
  if (latest.drift_reason) parts.push(h("span", {}, latest.drift_reason));
  if (latest.drift_recorded_ratio < 1) parts.push(h("span", {}, `${f.percent(latest.drift_recorded_ratio)} of it is recorded.`));
  return parts;
}
