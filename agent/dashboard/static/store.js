// The fleet as the page knows it: all rows once, then changes as they come. One connection for all pages.

export const fleet = { rows: new Map(), note: {}, me: { role: "viewer" }, ready: false };
const listeners = new Set();
let columns = [];
let source = null;
let pending = null;

export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function notify(change) {
  for (const listener of [...listeners]) listener(change);
}

export class ApiError extends Error {}

// What a page could not load, said on top of it until it can.
export function problem(error) {
  const text = error ? error.message : "";
  if (text === (fleet.problem ?? "")) return;
  fleet.problem = text;
  notify({ note: true });
}

export async function api(path, query, body) {
  const options = body && { method: "POST", body: JSON.stringify(body), headers: { "x-csrf-token": fleet.me.token } };
  const answer = await fetch(`/api/${path}${query ? `?${new URLSearchParams(query)}` : ""}`, options ?? {});
  if (answer.status === 401) location.assign("/login" + location.hash);
  if (answer.ok && !(answer.headers.get("content-type") ?? "").includes("json")) return answer.blob();
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(found.error || `the dashboard answered ${answer.status}`);
  return found;
}

const row = ([number, ...cells]) => Object.fromEntries([["number", number], ...columns.map((name, i) => [name, cells[i]])]);
export const find = (site, name) => [...fleet.rows.values()].find((one) => one.site === site && one.name === name);

export async function start() {
  try {
    fleet.me = await api("me");
    const found = await api("fleet");
    columns = found.columns;
    fleet.rows = new Map(found.rows.map((cells) => [cells[0], row(cells)]));
    fleet.note = found.note;
    fleet.ready = true;
    notify({ all: true });
    follow(found.revision);
  } catch {
    lost();
  }
}

// A page that is left may be kept for the way back, and its connection with it: six of those, and nothing loads any more.
window.addEventListener("pagehide", () => { source?.close(); clearTimeout(pending); });
window.addEventListener("pageshow", (event) => { if (event.persisted) start(); });

function lost() {
  source?.close();
  fleet.note = { ...fleet.note, away: true };
  notify({ note: true });
  clearTimeout(pending);
  pending = setTimeout(start, 2000);
}

function follow(revision) {
  source?.close();
  source = new EventSource(`/api/events?after=${revision}`);
  source.onmessage = (event) => apply(JSON.parse(event.data));
  source.addEventListener("reset", () => { source.close(); start(); });
  source.onerror = lost;
}

function apply(change) {
  const touched = new Set();
  for (const cells of change.new ?? []) {
    fleet.rows.set(cells[0], row(cells));
    touched.add(cells[0]);
  }
  for (const [number, cells] of change.changed ?? []) {
    const known = fleet.rows.get(number);
    if (!known) continue;
    for (const [place, value] of Object.entries(cells)) known[columns[place]] = value;
    touched.add(number);
  }
  for (const number of change.removed ?? []) fleet.rows.delete(number);
  if (change.note) fleet.note = change.note;
  notify({ touched, alerts: Boolean(change.alerts), note: Boolean(change.note), removed: Boolean(change.removed) });
}
