// Alerts: what fires and what did; what, expected, evidence, advice, runbook; acknowledge, snooze, mute, with the answer.

import { h, button, badge } from "./dom.js";
import { fleet, subscribe, api } from "./store.js";
import { csv, field, time, deviceLink, cameraLink, setOptions } from "./parts.js";
import { FOR, summary } from "./controls.js";
import { first, repeat } from "./device.js";
import { reportButton } from "./report.js";
import * as f from "./format.js";

const RANK = { critical: 0, warning: 1, info: 2 };
const MOST = 2000; // that the dashboard gives at once
const ACTS = { acknowledged: "acknowledged", snoozed: "snoozed", muted: "muted", limit: "another limit", undone: "undone" };

export function show(view, { options }) {
  document.title = "Alerts · Vedette";
  const wanted = { state: options.get("state") ?? "firing", q: options.get("q") ?? "", id: options.get("id") ?? "", site: options.get("site") ?? "", device: options.get("device") ?? "" };
  // Cameras of one name have alerts of one id on several devices: a link without a device opens the first.
  const isChosen = (one) => wanted.id !== "" && one.id === wanted.id && (!wanted.device || (one.device === wanted.device && one.site === wanted.site));
  const opened = new Set();
  const busy = new Set();
  let alerts = [];
  const tabs = ["firing", "past"].map((state) => button(state === "firing" ? "Firing" : "Past", () => { wanted.state = state; changed(); load(); }, { "data-state": state }));
  const search = h("input", { type: "search", placeholder: "Filter  /", "aria-label": "Filter alerts by text", value: wanted.q, oninput: () => { wanted.q = search.value; changed(); draw(); } });
  const count = h("span", { class: "muted", role: "status" });
  const list = h("div", { class: "alertlist" });
  view.append(h("h1", { class: "hidden" }, "Alerts"), h("div", { class: "bar" }, h("div", { class: "ranges", role: "group", "aria-label": "Which alerts" }, tabs), search, count, h("span", { class: "grow" }),
    button("CSV", () => csv("alerts.csv", ["site", "device", "id", "state", "severity", "what", "expected", "value", "first_seen_utc", "changed_at_utc"], picked().map((one) => ({ ...one, first_seen_utc: iso(one.first_seen), changed_at_utc: iso(one.changed_at) }))))), list);

  function changed() {
    setOptions({ state: wanted.state === "past" ? "past" : "", q: wanted.q, id: wanted.id, site: wanted.id && wanted.site, device: wanted.id && wanted.device });
  }

  function picked() {
    const words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
    return alerts.filter((one) => words.every((word) => `${one.site}/${one.device} ${one.id} ${one.severity} ${one.what}`.toLowerCase().includes(word)));
  }

  async function load() {
    for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab.dataset.state === wanted.state));
    alerts = await api("alerts", { state: wanted.state });
    if (wanted.state === "firing") alerts.sort((a, b) => (RANK[a.severity] ?? 1) - (RANK[b.severity] ?? 1) || b.changed_at - a.changed_at);
    if (wanted.state === "firing") alerts.push(...silent());
    if (wanted.id && wanted.state === "firing" && !alerts.some(isChosen)) {
      const past = await api("alerts", { state: "past" });
      if (past.some(isChosen)) [alerts, wanted.state] = [past, "past"];
      for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab.dataset.state === wanted.state));
    }
    if (!busy.size && !list.contains(document.activeElement)) draw();
    else update();
  }

  // A device that says nothing, though no last will came: nobody has published that, the live rows show it.
  function silent() {
    return [...fleet.rows.values()].filter((row) => row.state === "silent").map((row) => ({
      site: row.site, device: row.name, id: "device_silent", rule: "device_offline", state: "firing", severity: "critical", what: "the device is silent: its status says online, and no message comes",
      expected: "a message a minute", window: "10 min", advice: "Look at the agent's journal on the device, and at the broker's.", runbook: "device_offline", value: null, labels: {}, evidence: {}, controls: {}, first_seen: row.since, changed_at: row.since,
    }));
  }

  function draw() {
    if (!draw.done) { const chosen = alerts.find(isChosen); if (chosen) opened.add(keyOf(chosen)); }
    const shown = picked();
    list.replaceChildren(...(shown.length ? shown.map(card) : [h("p", { class: "blank" }, wanted.state === "firing" ? "Nothing fires." : "No alert is in the history.")]));
    update();
    const chosen = list.querySelector("[data-chosen]");
    if (chosen && !draw.done) { chosen.scrollIntoView({ block: "start" }); draw.done = true; }
  }

  // Somebody works in the list: only new and ended ones are marked, nothing moves.
  function update() {
    const known = new Map(alerts.map((one) => [keyOf(one), one]));
    count.textContent = `${picked().length} alert${picked().length === 1 ? "" : "s"}${alerts.length >= MOST ? `: the ${MOST} that changed last` : ""}`;
    for (const node of list.querySelectorAll("[data-key]")) {
      if (node.dataset.key && !known.has(node.dataset.key) && wanted.state === "firing") node.querySelector(".badge")?.replaceWith(badge("good", "resolved"));
      else if (known.has(node.dataset.key)) node.querySelector(".controls")?.replaceWith(controls(known.get(node.dataset.key)));
    }
  }

  function card(alert) {
    const key = keyOf(alert);
    const level = alert.state === "firing" ? f.severity(alert.severity) : "good";
    const details = h("details", { class: `panel alert ${level}`, "data-key": key, "data-chosen": isChosen(alert), open: opened.has(key) },
      h("summary", {}, badge(level, alert.state === "firing" ? alert.severity || "alert" : alert.state), h("span", { class: "what" }, alert.what), controls(alert),
        h("span", { class: "muted place" }, `${alert.site}/${alert.device}`), time(alert.first_seen)));
    const fillIn = () => { if (details.open && details.childElementCount === 1) details.append(body(alert)); };
    details.addEventListener("toggle", () => {
      opened[details.open ? "add" : "delete"](key);
      Object.assign(wanted, details.open ? { id: alert.id, site: alert.site, device: alert.device } : { id: "" });
      changed();
      fillIn();
    });
    fillIn();
    return details;
  }

  // What people did: { "acknowledged.who": "ada", "acknowledged.why": ... } as it is kept, one badge for each.
  function controls(alert) {
    const acts = {};
    for (const [name, value] of Object.entries(alert.controls ?? {})) {
      const [act, part] = name.split(".");
      (acts[act] ??= {})[part ?? "text"] = value;
    }
    return h("span", { class: "controls" }, Object.entries(acts).slice(0, 3).map(([act, { who, why, at, until }]) =>
      badge("info", [ACTS[act] ?? act.replaceAll("_", " "), who && `by ${who}`].filter(Boolean).join(" "), [why, at && `at ${f.both(f.unix(at))}`, until && `until ${f.both(f.unix(until))}`].filter(Boolean).join(", "))));
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
        h("div", { class: "actions" }, reportButton({ site: alert.site, device: alert.device, alert: alert.id, ...(camera && { camera }) })),
        alert.state === "firing" && alert.rule !== "device_offline" && fleet.me.role === "operator" ? actions(alert) : ""),
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
  first(load);
  const stop = subscribe((change) => { if (change.alerts || change.all) refresh(); });
  const timer = setInterval(refresh, 15000);
  return () => { stop(); clearInterval(timer); };
}

const iso = (at) => new Date(at * 1000).toISOString();
const keyOf = (alert) => JSON.stringify([alert.site, alert.device, alert.id]);

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
