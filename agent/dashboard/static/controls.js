// What people did to a device's alerts: mute one camera for a time, see what is in force and by whom, undo it.

import { h, button, badge } from "./dom.js";
import { fleet, api } from "./store.js";
import { panel } from "./parts.js";
import * as f from "./format.js";

export const FOR = ["1h", "4h", "12h", "24h", "7d"];

export function controls({ site, device, camera }) {
  if (fleet.me.role !== "operator") return "";
  const why = h("input", { placeholder: "Why (goes to the agent)", "aria-label": "Why", maxlength: 200 });
  const until = h("select", { "aria-label": "For how long" }, FOR.map((text) => h("option", {}, text)));
  const answer = h("p", { class: "answer", role: "status" });
  const list = h("div");

  async function send(command, args) {
    answer.replaceChildren("…");
    try {
      const got = await api("command", null, { site, device, command, args });
      answer.replaceChildren(got.ok ? badge("good", "done") : badge("bad", "refused"), ` ${got.ok ? summary(got) : got.error ?? "no reason given"}`);
      return got;
    } catch (error) {
      answer.replaceChildren(badge("bad", "failed"), ` ${error.message}`);
      return {};
    }
  }

  async function show() {
    const got = await send("controls", {});
    if (!got.ok) return;
    const found = (Array.isArray(got.controls) ? got.controls : []).filter((one) => !camera || !one.labels?.camera || one.labels.camera === camera);
    answer.replaceChildren(badge("good", "answered"), ` ${found.length ? "" : "nothing is in force"}`);
    list.replaceChildren(found.length ? h("table", { class: "small" },
      h("thead", {}, h("tr", {}, ["what", "of", "by", "why", "since", "until", ""].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, found.map((one) => h("tr", {}, h("th", { scope: "row" }, String(one.kind)), ...[subject(one), one.who, one.why, f.when(one.at), end(one)].map((text) => h("td", { class: "text" }, text ? String(text) : "–")),
        h("td", {}, button("Undo", () => undo(one.id), { "aria-label": `Undo ${one.kind} ${one.id}` })))))) : "");
  }

  async function undo(id) {
    if ((await send("undo", { id })).ok) await show();
  }

  async function mute() {
    if ((await send("mute", { camera, for: until.value, ...(why.value && { why: why.value }) })).ok && list.childElementCount) await show();
  }

  return panel("Muted, snoozed, acknowledged",
    h("div", { class: "actions" }, camera ? [why, until, button(`Mute ${camera}`, mute)] : "", button("What is in force?", show), answer), list);
}

const end = (one) => (one.until ? f.when(one.until) : one.schedule || "until it is undone");

function subject(one) {
  const labels = Object.entries(one.labels ?? {}).map(([name, value]) => `${name} ${value}`);
  return [one.alert, one.rule && `rule ${one.rule}`, ...labels].filter(Boolean).join(", ") || "all alerts";
}

// What an agent answered to a control: its kind, id, who and until when.
export function summary(answer) {
  const control = answer.control ?? {};
  return [control.kind, control.id, control.who && `by ${control.who}`, control.until && `until ${f.when(control.until)}`].filter(Boolean).join(", ");
}
