// One camera: frames, latency by stage, detections by class, its states over time, and drift in depth.

import { h, s, badge, button } from "./dom.js";
import { fleet, find, subscribe, api } from "./store.js";
import { Curves, densities } from "./charts.js";
import { ranges, time, deviceLink, panel, alertBrief, setOptions, markList, csv, curvesCsv, marksCsv, fileName } from "./parts.js";
import { figure, first, repeat } from "./device.js";
import { controls } from "./controls.js";
import { light } from "./light.js";
import { reportButton } from "./report.js";
import { advice, estimates } from "./standing.js";
import { strip } from "./strip.js";
import * as f from "./format.js";

const SUMMARIES = { all: "worst feature", joint: "all together", classes: "mix of classes" };
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
  const photo = snapshot(site, device, camera);
  const [counsel, right, lights, happened] = [h("div"), h("section", { class: "panel", hidden: true }), light(), h("div")];
  let [changes, cells] = [[], null];
  const name = (what) => fileName(site, device, camera, what);
  const small = (text, title, onclick) => button(text, onclick, { title });
  view.append(head, firing, photo, h("div", { class: "bar" }, h("h2", {}, "State"), h("span", { class: "grow" }), range.node,
    small("CSV", "The curves as they are drawn, as CSV", () => curvesCsv(name("curves.csv"), drawn())), reportButton({ site, device, camera }, range)), states,
    h("section", { class: "panel" }, h("div", { class: "bar" }, h("h2", {}, "Drift"), h("span", { class: "grow" }), small("CSV", "The table of features by time, as CSV", heatCsv)), verdict, counsel, heat, compared),
    right, lights.node, charts,
    h("section", { class: "panel" }, h("div", { class: "bar" }, h("h2", {}, "What changed"), h("span", { class: "grow" }), small("CSV", "What changed, as CSV", () => marksCsv(name("changes.csv"), changes))), happened),
    controls({ site, device, camera }));

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
    curve("F1, estimated without labels", [["accuracy_estimate_ratio", "Estimate"], ["accuracy_estimate_low_ratio", "Low"], ["accuracy_estimate_high_ratio", "High"]], f.percent),
    curve("Drift over its limit", [["drift_ratio", "Worst feature"], ["drift_joint_ratio", "All together"], ["drift_classes_ratio", "Mix of classes"]], (value) => f.number(value, 2)),
  ];
  let classes = null;
  let chosen = options.get("feature") ?? "";
  let plot = null;
  let answered = null; // by the device, about the chosen feature: the page's refreshes do not ask it again

  function titles(latest) {
    head.replaceChildren(h("nav", { class: "crumbs", "aria-label": "Path" }, h("a", { href: "#/" }, "Fleet"), " / ", h("a", { href: deviceLink(site, device) }, `${site}/${device}`)),
      h("h1", {}, camera, latest ? badge(f.level(latest.state), latest.state ?? "?") : badge("off", "not known"), latest?.light_mode ? badge("info", latest.light_mode, "Light") : ""),
      latest?.state_reason ? h("p", { class: "reason" }, latest.state_reason) : "",
      latest ? h("div", { class: "figures wide" }, figure(f.number(latest.fps_in, 1), "frames/s of the camera"), figure(f.number(latest.fps_inferred, 1), "frames/s inferred"), figure(f.seconds(latest.latency_p50_seconds), "median"),
        figure(f.seconds(latest.latency_p99_seconds), "p99"), figure(f.number(latest.detections_per_frame, 1), "boxes a frame"), figure(f.number(latest.drift_ratio, 2), "drift over its limit", latest.drift_ratio >= 1)) : "");
    verdict.replaceChildren(...words(latest ?? {}));
  }

  const drawn = () => [...curves, ...(classes ? [classes] : [])];

  function heatCsv() {
    const columns = ["time_utc", ...(cells?.features ?? [])];
    const rows = (cells?.cells[0] ?? []).map((_, x) => Object.fromEntries([["time_utc", new Date((cells.start + x * cells.width) * 1000).toISOString()], ...cells.features.map((one, y) => [one, cells.cells[y][x]])]));
    csv(name("drift.csv"), columns, rows);
  }

  async function about() {
    const found = await api("device", key);
    range.begin(found.first);
    const latest = found.latest[key.entity];
    titles(latest);
    counsel.replaceChildren(advice(found.latest[`advice/${camera}`]));
    const sure = estimates(latest, found.latest[`accuracy/${camera}`], found.latest.accuracy);
    right.hidden = !sure;
    right.replaceChildren(h("h2", {}, "How right the model is"), sure);
    firing.replaceChildren(...found.alerts.filter((alert) => alert.labels?.camera === camera).map(alertBrief));
  }

  async function load() {
    const span = range.span();
    const [marks, list, table, names] = await Promise.all([api("marks", { ...key, ...span }), api("states", { ...key, ...span }), api("heat", { ...key, ...span }), api("names", { ...key, ...span })]);
    strip(states, list, span, { of: "States", level: f.level, blank: "No state is known in this time." });
    drawHeat(cells = table);
    const found = names.filter((name) => name.startsWith("detections_") && name !== "detections_per_frame").slice(0, 8);
    if (found.length && String(found) !== String(classes?.series.map((one) => one.field))) {
      classes?.close();
      classes?.node.remove();
      classes = curve("Boxes by class", found.map((name) => [name, name.slice(11).replaceAll("_", " ")]), f.number);
    }
    const mine = marks.filter((mark) => mark.entity === key.entity || (mark.entity !== "host" && !mark.entity.startsWith("camera/")));
    changes = mine;
    happened.replaceChildren(markList(mine));
    await Promise.all([...drawn().map((one) => one.load(key, span, mine.filter((mark) => mark.kind !== "light"))), lights.load(key, span)]);
    if (chosen) await compare(chosen, answered);
  }

  function drawHeat(found) {
    if (!found.features.length) return heat.replaceChildren(h("p", { class: "muted" }, "No drift was judged in this time."));
    const columns = found.cells[0].length;
    const rows = found.features.map((name, y) => h("div", { class: "heatrow" },
      SUMMARIES[name] ? h("span", { class: "feature" }, SUMMARIES[name]) : h("button", { type: "button", class: "feature", "data-feature": name, "aria-pressed": String(name === chosen), onclick: () => compare(name), title: "Compare with the reference" }, name.replaceAll("_", " ")),
      s("svg", { viewBox: `0 0 ${columns} 1`, preserveAspectRatio: "none", role: "img", "aria-label": `${name}: largest ${f.number(Math.max(...found.cells[y].map((cell) => cell ?? 0)), 2)} times its limit` },
        found.cells[y].map((cell, x) => cell !== null && s("rect", { x, y: 0, width: 1.02, height: 1, class: `h${step(cell)}` }, s("title", {}, `${name}: ${f.number(cell, 2)} × its limit, ${f.both(found.start + (x + 0.5) * found.width)}`)))),
      h("b", { class: "largest" }, f.number(Math.max(...found.cells[y].map((cell) => cell ?? 0)), 2))));
    heat.replaceChildren(...rows, h("div", { class: "key muted" }, "ratio to limit ", [0, 1, 2, 3, 4, 5].map((i) => h("span", { class: `swatch h${i}` }, ["<0.25", "0.5", "0.75", "<1", "≥1", "≥2"][i]))));
  }

  // What the dashboard has comes at once, the device's answer when it is there.
  async function compare(name, known = null) {
    [chosen, answered] = [name, known];
    setOptions({ feature: name });
    for (const one of heat.querySelectorAll("button.feature")) one.setAttribute("aria-pressed", String(one.dataset.feature === name));
    const { from, to } = range.span();
    const sketches = await api("feature", { ...key, from: Math.min(from, to - 86400), to, feature: name });
    if (name !== chosen) return;
    const asks = range.live() && !answered;
    if (asks) answered = { pending: true };
    drawCompared(name, sketches, range.live() ? answered : null);
    if (!asks) return;
    const got = await ask(name);
    if (name !== chosen) return;
    answered = got;
    drawCompared(name, sketches, got);
  }

  function drawCompared(name, sketches, asked) {
    const [found, names] = asked?.axis?.length ? [asked, ["Reference", "Now"]] : [sketches, ["Before", "Newest"]];
    plot?.destroy();
    plot = null;
    const place = h("div", { class: "plot" });
    const rows = found.parts.map((part, i) => h("tr", {}, h("th", { scope: "row" }, names[i]), ...(part ? part.quantiles.map((value) => h("td", {}, f.significant(value))) : [h("td", { colspan: 3 }, "no sketch")]), h("td", {}, part ? f.number(part.count) : "–")));
    compared.replaceChildren(h("h3", {}, `${name.replaceAll("_", " ")}: ${found === asked ? "now against the reference" : "the newest sketch against those before it"}`),
      ...(found === asked ? about_reference(found) : about_sketches(found, asked)),
      found.axis.length ? place : "",
      found.axis.length ? h("table", { class: "small" }, h("thead", {}, h("tr", {}, ["", "p10", "p50", "p90", "frames"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows)) : "");
    if (found.axis.length) plot = densities(place, found, names);
  }

  async function ask(name) {
    if (fleet.me.role !== "operator") return { refused: "the device is asked for its reference by operators alone" };
    return api("reference", null, { site, device, camera, feature: name }).catch((error) => ({ refused: error.message }));
  }

  function about_reference(found) {
    const hours = found.hours.map((hour) => `${String(hour).padStart(2, "0")}–${String((hour + 1) % 24).padStart(2, "0")}`).join(", ");
    return [h("p", { class: "muted" }, "Now: ", time(found.start), " to ", time(found.end), `. Reference ${found.reference}${found.provisional ? " (provisional)" : ""}: `, hours ? `${hours} UTC.` : "no time of day, it was made of images."),
      ...(found.words ? verdictWords(found.words) : [])];
  }

  function about_sketches(found, asked) {
    return [found.axis.length ? "" : h("p", { class: "muted" }, "The device has sent no sketch of this feature in this time: they come every hour (reports.sketch_interval)."),
      found.end ? h("p", { class: "muted" }, "Newest: ", time(found.start), " to ", time(found.end), `. Before: ${found.hours - 1} messages of the same model.`) : "",
      asked?.pending ? h("p", { class: "muted" }, "The device is asked for its reference …") : "",
      asked?.refused ? h("p", { class: "muted" }, `The reference stays on the device, and is not shown: ${asked.refused}. The command is drift_feature ([commands] allow); on the device: vedette drift explain.`) : ""];
  }

  const refresh = repeat(async () => { await about(); if (range.live()) await load(); });
  first(async () => { await about(); await load(); });
  const stop = subscribe((change) => {
    const row = find(site, device);
    if (change.alerts || change.all || (row && change.touched?.has(row.number))) refresh();
  });
  const timer = setInterval(refresh, 30000);
  return () => { stop(); clearInterval(timer); plot?.destroy(); for (const one of drawn()) one.close(); };
}

// The last frame with its boxes: the device is asked for it, where its config names the command, and it is kept nowhere.
function snapshot(site, device, camera) {
  if (fleet.me.role !== "operator") return "";
  const answer = h("p", { class: "muted", role: "status" });
  const frame = h("figure", { class: "frame", hidden: true });
  async function ask() {
    answer.textContent = "…";
    try {
      const got = await api("command", null, { site, device, command: "snapshot", args: { camera } });
      if (!got.ok || typeof got.jpeg !== "string") throw new Error(got.error ?? "no image came");
      const boxes = `${f.number(got.detections)} ${got.detections === 1 ? "box" : "boxes"}`;
      frame.replaceChildren(h("img", { src: `data:image/jpeg;base64,${got.jpeg}`, alt: `Last frame of ${camera}, ${boxes}` }), h("figcaption", { class: "muted" }, boxes, " · ", time(got.captured_at)));
      frame.hidden = false;
      answer.textContent = "";
    } catch (error) {
      answer.textContent = `${error.message}. The command is snapshot: the device's [commands] allow has to name it.`;
    }
  }
  return panel("Last frame", h("div", { class: "bar" }, button("Ask for a snapshot", ask), answer), frame);
}

// The sentence stands open, the figures behind it are folded.
function verdictWords(words) {
  const [sentence, ...figures] = words.split("\n").map((line) => line.trim());
  return [h("p", { class: "words" }, sentence), figures.length > 0 && h("details", {}, h("summary", {}, "Scores and limits"), h("ul", { class: "scores muted" }, figures.map((line) => h("li", {}, line))))].filter(Boolean);
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
  if (latest.drift_cause && !["unknown", "none"].includes(latest.drift_cause) && (latest.drift_state === "drift" || latest.drift_ratio >= 1)) parts.push(h("span", {}, `Most likely cause: ${latest.drift_cause.replaceAll("_", " ")} (${f.percent(latest.drift_cause_confidence)} sure)${latest.drift_cause_also ? `, and ${latest.drift_cause_also.replaceAll("_", " ")} besides` : ""}.`));
  if (latest.drift_since) parts.push(h("span", {}, "Since ", time(latest.drift_since), "."));
  if (latest.drift_reason) parts.push(h("span", {}, latest.drift_reason));
  if (latest.drift_recorded_ratio < 1) parts.push(h("span", {}, `${f.percent(latest.drift_recorded_ratio)} of it is recorded.`));
  return parts;
}
