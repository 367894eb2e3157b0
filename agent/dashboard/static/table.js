// A table that draws only the rows in sight: thousands of rows cost as much as a screenful.

import { h } from "./dom.js";

export function virtualTable({ columns, height, draw, sorted, onsort, label }) {
  const head = h("div", { class: "row head", role: "row" }, columns.map((column) => heading(column)));
  const body = h("div", { class: "body", role: "rowgroup" });
  const frame = h("div", { class: "table", role: "table", "aria-label": label }, h("div", { role: "rowgroup", class: "heads" }, head), body);
  const drawn = new Map();
  let rows = [];

  function heading(column) {
    if (!column.sort) return h("div", { role: "columnheader", class: `cell ${column.class ?? ""}` }, column.title);
    const arrow = h("span", { class: "arrow", "aria-hidden": "true" });
    const node = h("div", { role: "columnheader", class: `cell ${column.class ?? ""}`, "data-column": column.name },
      h("button", { type: "button", class: "sort", title: column.help, onclick: () => onsort(column.name) }, column.title, arrow));
    return node;
  }

  function paint(force) {
    const top = body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / height) - 4);
    const last = Math.min(rows.length, first + Math.ceil(window.innerHeight / height) + 10);
    for (const [key, node] of drawn) {
      if (rows[node.at]?.number !== key || node.at < first || node.at >= last) {
        node.element.remove();
        drawn.delete(key);
      }
    }
    for (let at = first; at < last; at++) {
      const key = rows[at].number;
      const known = drawn.get(key);
      if (known && force !== true && !force?.has(key)) continue;
      const element = draw(rows[at]);
      element.style.setProperty("top", `${at * height}px`);
      element.setAttribute("aria-rowindex", at + 2);
      const focused = known?.element.contains(document.activeElement);
      if (known) known.element.replaceWith(element);
      else body.append(element);
      if (focused) element.querySelector("a")?.focus({ preventScroll: true });
      drawn.set(key, { element, at });
    }
    return rows.slice(first, last);
  }

  function set(next, force = true) {
    rows = next;
    body.style.setProperty("height", `${rows.length * height}px`);
    frame.setAttribute("aria-rowcount", rows.length + 1);
    const { name, down } = sorted();
    for (const cell of head.querySelectorAll("[data-column]")) {
      const mine = cell.dataset.column === name;
      cell.setAttribute("aria-sort", mine ? (down ? "descending" : "ascending") : "none");
      cell.querySelector(".arrow").textContent = mine ? (down ? " ↓" : " ↑") : "";
    }
    return paint(force);
  }

  // Up and down go from row to row, also past the rows in sight.
  body.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 }[event.key];
    const here = [...drawn.values()].find((node) => node.element.contains(document.activeElement));
    if (!step || !here) return;
    event.preventDefault();
    const at = Math.max(0, Math.min(rows.length - 1, here.at + step));
    const target = body.getBoundingClientRect().top + window.scrollY + at * height;
    if (target < window.scrollY + 140 || target > window.scrollY + window.innerHeight - 80) window.scrollTo(0, target - window.innerHeight / 2);
    paint();
    drawn.get(rows[at].number)?.element.querySelector("a")?.focus({ preventScroll: true });
  });

  return { frame, set, paint };
}
