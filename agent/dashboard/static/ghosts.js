// What the broker retains of devices and cameras that are no more, and a button that clears it.

import { h, button } from "./dom.js";
import { fleet, api } from "./store.js";
import { csv } from "./parts.js";

export function show(view) {
  document.title = "Ghosts · Vedette";
  const list = h("div", { class: "panel" }, h("p", { class: "muted" }, "Reading what the broker retains …"));
  const answer = h("p", { class: "answer", role: "status" });
  view.append(h("div", { class: "titles" }, h("h1", {}, "Ghosts"), h("p", { class: "muted" }, "Messages that the broker retains of devices and cameras that are no more. Clearing them is what vedette devices remove does.")),
    h("div", { class: "bar" }, h("span", { class: "grow" }), button("CSV", () => csv("ghosts.csv", ["device", "topic", "reason"], shown), { title: "What is listed, as CSV" })), list, answer);
  let shown = [];

  async function load() {
    try {
      const found = shown = await api("ghosts");
      const devices = new Map();
      for (const one of found) devices.set(one.device, [...(devices.get(one.device) ?? []), one]);
      list.replaceChildren(...(found.length ? [...devices].map(([device, topics]) => h("details", { class: "ghost" },
        h("summary", {}, h("b", {}, device), h("span", { class: "muted" }, ` ${topics.length} retained: ${topics[0].reason}`),
          fleet.me.role === "operator" ? button("Remove", (event) => { event.preventDefault(); remove(device, topics.length); }) : ""),
        h("ul", {}, topics.map((one) => h("li", {}, h("code", {}, one.topic), ` ${one.reason}`))))) : [h("p", { class: "blank" }, "There are none.")]));
    } catch (error) {
      list.replaceChildren(h("p", { class: "blank" }, error.message));
    }
  }

  async function remove(device, count) {
    if (!confirm(`Clear ${count} retained messages of ${device} at the broker?`)) return;
    try {
      const got = await api("ghosts/remove", null, { device });
      answer.textContent = `${got.cleared} cleared${got.refused.length ? `; refused: ${got.refused.join("; ")}` : ""}`;
    } catch (error) {
      answer.textContent = error.message;
    }
    load();
  }

  load();
}
