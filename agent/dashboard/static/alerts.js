// Alerts: what fires and what did; what, expected, evidence, advice, runbook; acknowledge, snooze, mute, with the answer.

import { h, button, badge } from "./dom.js";
import { fleet, subscribe, api } from "./store.js";
import { csv, field, time, deviceLink, cameraLink, setOptions } from "./parts.js";
import { repeat } from "./device.js";
import * as f from "./format.js";

const RANK = { critical: 0, warning: 1, info: 2 };
const FOR = ["1h", "4h", "12h", "24h", "7d"];

export function show(view, { options }) {
  document.title = "Alerts · Vedette";
  const wanted = { state: options.get("state") ?? "firing", q: options.get("q") ?? "", id: options.get("id") ?? "" };
  const opened = new Set(wanted.id ? [wanted.id] : []);
  const busy = new Set();
  let alerts = [];
  const tabs = ["firing", "past"].map((state) => button(state === "firing" ? "Firing" : "Past", () => { wanted.state = state; changed(); load(); }, { "data-state": state }));
  const search = h("input", { type: "search", placeholder: "Filter  /", "aria-label": "Filter alerts by text", value: wanted.q, oninput: () => { wanted.q = search.value; changed(); draw(); } });
  const count = h("span", { class: "muted", role: "status" });
  const list = h("div", { class: "alertlist" });
  view.append(h("h1", { class: "hidden" }, "Alerts"), h("div", { class: "bar" }, h("div", { class: "ranges", role: "group", "aria-label": "Which alerts" }, tabs), search, count, h("span", { class: "grow" }),
    button("CSV", () => csv("alerts.csv", ["site", "device", "id", "state", "severity", "what", "expected", "first_seen", "changed_at"], picked()))), list);

  function changed() {
    setOptions({ state: wanted.state === "past" ? "past" : "", q: wanted.q, id: wanted.id });
  }

  function picked() {
    const words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
    return alerts.filter((one) => words.every((word) => `${one.site}/${one.device} ${one.id} ${one.severity} ${one.what}`.toLowerCase().includes(word)));
  }

  async function load() {
    for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab.dataset.state === wanted.state));
    alerts = await api("alerts", { state: wanted.state });
    if (wanted.state === "firing") alerts.sort((a, b) => (RANK[a.severity] ?? 1) - (RANK[b.severity] ?? 1) || b.changed_at - a.changed_at);
    if (wanted.id && wanted.state === "firing" && !alerts.some((one) => one.id === wanted.id)) {
      const past = await api("alerts", { state: "past" });
      if (past.some((one) => one.id === wanted.id)) [alerts, wanted.state] = [past, "past"];
      for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab.dataset.state === wanted.state));
    }
    if (!busy.size && !list.contains(document.activeElement)) draw();
    else update();
  }

  function draw() {
    const shown = picked();
    list.replaceChildren(...(shown.length ? shown.map(card) : [h("p", { class: "blank" }, wanted.state === "firing" ? "Nothing fires." : "No alert is in the history.")]));
    update();
    const chosen = list.querySelector("[data-chosen]");
    if (chosen && !draw.done) { chosen.scrollIntoView({ block: "start" }); draw.done = true; }
  }

  // Somebody works in the list: only new and ended ones are marked, nothing moves.
  function update() {
    const known = new Map(alerts.map((one) => [keyOf(one), one]));
    count.textContent = `${picked().length} alert${picked().length === 1 ? "" : "s"}`;
    for (const node of list.querySelectorAll("[data-key]")) {
      if (node.dataset.key && !known.has(node.dataset.key) && wanted.state === "firing") node.querySelector(".badge")?.replaceWith(badge("good", "resolved"));
      else if (known.has(node.dataset.key)) node.querySelector(".controls")?.replaceWith(controls(known.get(node.dataset.key)));
    }
  }

  function card(alert) {
    const key = keyOf(alert);
    const level = alert.state === "firing" ? f.severity(alert.severity) : "good";
    const details = h("details", { class: `panel alert ${level}`, "data-key": key, "data-chosen": alert.id === wanted.id, open: opened.has(alert.id) },
      h("summary", {}, badge(level, alert.state === "firing" ? alert.severity || "alert" : alert.state), h("span", { class: "what" }, alert.what), controls(alert),
        h("span", { class: "muted place" }, `${alert.site}/${alert.device}`), time(alert.first_seen)));
    const fillIn = () => { if (details.open && details.childElementCount === 1) details.append(body(alert)); };
    details.addEventListener("toggle", () => {
      opened[details.open ? "add" : "delete"](alert.id);
      wanted.id = details.open ? alert.id : "";
      changed();
      fillIn();
    });
    fillIn();
    return details;
  }

  function controls(alert) {
    const found = alert.controls ?? {};
    return h("span", { class: "controls" }, Object.keys(found).filter((name) => found[name]).slice(0, 3).map((name) => badge("info", name.replaceAll("_", " "), String(found[name]))));
  }

  function body(alert) {
    const camera = alert.labels?.camera;
    const runbook = h("div", { class: "runbook" });
    const name = (alert.runbook ?? "").split("/").pop().replace(/\.md.*$/, "") || alert.rule;
    api("runbook", { name }).then(({ text }) => runbook.replaceChildren(...(text ? [h("h3", {}, "Runbook"), ...markdown(text)] : []))).catch(() => {});
    return h("div", { class: "about" },
      h("div", {},
        h("dl", { class: "facts" },
          field("Expected", alert.expected), field("Value", alert.value === null ? "–" : f.significant(alert.value)), field("Time judged", alert.window), field("Rule", alert.rule),
          field("First seen", time(alert.first_seen)), field("Changed", time(alert.changed_at)), field("Id", alert.id),
          field("Where", h("span", {}, h("a", { href: deviceLink(alert.site, alert.device) }, `${alert.site}/${alert.device}`), camera && [" · ", h("a", { href: cameraLink(alert.site, alert.device, camera) }, camera)]))),
        alert.advice && h("p", { class: "advice" }, h("b", {}, "To do: "), alert.advice),
        evidence(alert),
        alert.state === "firing" && fleet.me.role === "operator" ? actions(alert) : ""),
      runbook);
  }

  function evidence(alert) {
    const entries = Object.entries(alert.evidence ?? {});
    return entries.length > 0 && h("table", { class: "small" }, h("caption", {}, "Evidence"), h("tbody", {}, entries.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name.replaceAll("_", " ")), h("td", {}, typeof value === "number" ? f.significant(value) : String(value))))));
  }

  function actions(alert) {
    const why = h("input", { placeholder: "Why (goes to the agent)", "aria-label": "Why", maxlength: 200 });
    const until = h("select", { "aria-label": "For how long" }, FOR.map((text) => h("option", {}, text)));
    const answer = h("p", { class: "answer", role: "status" });
    const camera = alert.labels?.camera;
    async function send(command, args) {
      busy.add(alert.id);
      answer.replaceChildren("…");
      try {
        const got = await api("command", null, { site: alert.site, device: alert.device, command, args: { ...args, ...(why.value && { why: why.value }) } });
        answer.replaceChildren(got.ok ? badge("good", "done") : badge("bad", "refused"), ` ${got.ok ? summary(got) : got.error ?? "no reason given"}`);
      } catch (error) {
        answer.replaceChildren(badge("bad", "failed"), ` ${error.message}`);
      }
      busy.delete(alert.id);
    }
    return h("div", { class: "actions" }, why, until,
      button("Acknowledge", () => send("acknowledge", { id: alert.id }), { class: "primary" }),
      button("Snooze", () => send("snooze", { id: alert.id, for: until.value })),
      button(camera ? "Mute camera" : "Mute rule", () => send("mute", { ...(camera ? { camera } : { rule: alert.rule }), for: until.value })), answer);
  }

  const refresh = repeat(load);
  load();
  const stop = subscribe((change) => { if (change.alerts || change.all) refresh(); });
  const timer = setInterval(refresh, 15000);
  return () => { stop(); clearInterval(timer); };
}

const keyOf = (alert) => JSON.stringify([alert.site, alert.device, alert.id]);

function summary(answer) {
  const control = answer.control ?? {};
  return [control.kind, control.id, control.who && `by ${control.who}`, control.until && `until ${f.when(control.until)}`].filter(Boolean).join(", ");
}

// Headings, lists, code and paragraphs of the runbooks: enough of Markdown to read them, and never HTML.
function markdown(text) {
  const nodes = [];
  for (const block of text.split(/\n{2,}/)) {
    const lines = block.split("\n");
    if (block.startsWith("```")) nodes.push(h("pre", {}, block.replace(/^```.*\n?|```$/g, "")));
    else if (/^#+ /.test(block)) nodes.push(h("h4", {}, lines[0].replace(/^#+ /, "")), ...(lines.length > 1 ? markdown(lines.slice(1).join("\n")) : []));
    else if (/^([-*]|\d+\.) /.test(block)) nodes.push(h("ul", {}, block.split(/\n(?=(?:[-*]|\d+\.) )/).map((item) => h("li", {}, inline(item.replace(/^([-*]|\d+\.) /, "").replace(/\s+/g, " "))))));
    else nodes.push(h("p", {}, inline(lines.join(" "))));
  }
  return nodes;
}

const inline = (text) => text.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").split(/(`[^`]+`)/).map((part) => (part.startsWith("`") && part.length > 2 ? h("code", {}, part.slice(1, -1)) : part.replaceAll("**", "")));
