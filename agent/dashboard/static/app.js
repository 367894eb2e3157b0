// Chooses the page by the address (#/...), and draws what stands around every page.

import { h, button, badge } from "./dom.js";
import { fleet, start, subscribe, api } from "./store.js";
import * as fleetPage from "./fleet.js";
import * as devicePage from "./device.js";
import * as cameraPage from "./camera.js";
import * as alertsPage from "./alerts.js";
import * as ghostsPage from "./ghosts.js";

const PAGES = { "": fleetPage, device: devicePage, camera: cameraPage, alerts: alertsPage, ghosts: ghostsPage };
const view = document.getElementById("view");
let leave = () => {};

// #/device/north/box?range=3600 -> the page, its names, its options; each part is encoded
export function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...names] = path.split("/").map((part) => { try { return decodeURIComponent(part); } catch { return part; } });
  return { page: PAGES[name] ?? fleetPage, name: PAGES[name] ? name : "", names, options: new URLSearchParams(query ?? "") };
}

function open() {
  leave();
  const at = route();
  view.replaceChildren();
  view.className = `page-${at.name || "fleet"}`;
  window.scrollTo(0, 0);
  leave = at.page.show(view, at) ?? (() => {});
  title();
  for (const link of document.querySelectorAll("#nav a"))
    link.toggleAttribute("aria-current", link.dataset.page === ({ device: "", camera: "" }[at.name] ?? at.name));
}

// How many alerts fire, also where the page is a tab among others.
function title() {
  let firing = 0;
  for (const row of fleet.rows.values()) firing += row.firing + (row.state === "offline" || row.state === "silent");
  const name = document.title.replace(/^\(\d+\) /, "");
  document.title = firing ? `(${firing}) ${name}` : name;
}

function navigation() {
  const link = (page, text, key) => h("a", { href: `#/${page}`, "data-page": page, title: `g then ${key}` }, text);
  document.getElementById("nav").replaceChildren(link("", "Fleet", "f"), link("alerts", "Alerts", "a"), link("ghosts", "Ghosts", "h"));
}

function theme(next) {
  const root = document.documentElement;
  if (next) localStorage.setItem("theme", next);
  const chosen = localStorage.getItem("theme");
  if (chosen) root.dataset.theme = chosen;
  window.dispatchEvent(new Event("theme"));
}

const isDark = () => (localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark")) === "dark";

function account() {
  const out = button("Log out", async () => { await api("logout", null, {}); location.assign("/login"); }, { class: "plain" });
  const swap = button("◐", () => theme(isDark() ? "light" : "dark"), { class: "plain", "aria-label": "Dark or light", title: "Dark or light" });
  document.getElementById("account").replaceChildren(swap, ...(fleet.me.login ? [h("span", { class: "who", title: fleet.me.role }, fleet.me.name), out] : []));
}

function status() {
  const note = fleet.note;
  const words = note.away ? ["bad", "Dashboard does not answer"] : note.refused ? ["bad", "Broker refuses"] : note.connected ? ["good", "Live"] : ["warn", "Broker away", note.broker_away];
  document.getElementById("status").replaceChildren(badge(...words));
  const problems = [
    fleet.problem && `This page could not be loaded: ${fleet.problem}.`,
    note.broker_away && !note.connected && `The broker cannot be reached: ${note.broker_away}. What is shown is as it was last.`,
    note.refused && `The broker refuses: ${note.refused}.`,
    note.history_error && `The history cannot be written: ${note.history_error}.`,
    note.dropped && `${note.dropped} messages were dropped: too many or too large.`,
    note.devices_left_out && `Messages of further devices are left out (${note.devices_left_out}).`,
    note.series_left_out && `Too many cameras and GPUs: the history of some is not kept.`,
  ].filter(Boolean);
  document.getElementById("notice").replaceChildren(...(problems.length ? [h("p", {}, problems.join(" "))] : []));
}

function keys(event) {
  if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    document.querySelector("input[type=search]")?.focus();
    event.preventDefault();
  } else if (keys.last === "g" && { f: 1, a: 1, h: 1 }[event.key]) {
    location.hash = { f: "#/", a: "#/alerts", h: "#/ghosts" }[event.key];
  }
  keys.last = event.key;
}

theme();
navigation();
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); view.focus(); });
window.addEventListener("hashchange", () => { open(); view.focus({ preventScroll: true }); }); // keys go on from the new page
document.addEventListener("keydown", keys);
let opened = false;
subscribe((change) => {
  if (change.all) account();
  if (change.all || change.note) status();
  if (fleet.ready && !opened) { opened = true; open(); }
  title();
});
start();
