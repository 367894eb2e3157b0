// A report as one file to mail: of what a page shows, with an image of the camera where the device gives one.

import { h, button } from "./dom.js";
import { fleet, api } from "./store.js";
import { save, fileName } from "./parts.js";

// about: { site, device, camera?, alert? }; range: what `ranges` gave, or nothing for an alert
export function reportButton(about, range) {
  const note = h("span", { class: "muted note", role: "status" });
  async function make() {
    note.textContent = "…";
    try {
      const snapshot = Boolean(about.camera) && fleet.me.role === "operator";
      const file = await api("report", null, { ...about, ...(range ? range.span() : {}), snapshot });
      save(fileName("report", about.site, about.device, about.alert ?? about.camera ?? "", "") + ".html", file);
      note.textContent = "";
    } catch (error) {
      note.textContent = error.message;
    }
  }
  return h("span", { class: "bar" }, button("Report", make, { title: "One HTML file with all of this, to mail" }), note);
}
