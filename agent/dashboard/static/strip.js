// A strip of what held when: the states of a camera, its light.

import { h } from "./dom.js";
import { time } from "./parts.js";
import * as f from "./format.js";

// list: [{ at, text }], oldest first, the first perhaps from before the range. Draws into `place`.
export function strip(place, list, { from, to }, { of, level, blank }) {
  if (!list.length) return place.replaceChildren(blank ? h("p", { class: "muted" }, blank) : "");
  const pieces = list.map((one, i) => {
    const [start, end] = [Math.max(one.at, from), list[i + 1]?.at ?? to];
    const name = one.text.split(":")[0];
    const title = `${one.text}\n${f.when(start)} to ${f.when(end)} (${f.utc(start)} to ${f.utc(end)})`;
    return h("span", { class: `piece ${level(name)}`, title, style: { "flex-grow": Math.max(0, end - start) } }, h("em", {}, name));
  });
  if (list[0].at > from) pieces.unshift(h("span", { class: "piece unknown", title: `Not known before ${f.when(list[0].at)} (${f.utc(list[0].at)})`, style: { "flex-grow": list[0].at - from } }));
  const words = list.map((one) => `${one.text} from ${f.when(one.at)}`).join("; ");
  place.replaceChildren(h("div", { class: "strip", role: "img", "aria-label": `${of}: ${words}` }, pieces), h("div", { class: "ends muted" }, time(from), time(to)));
}
