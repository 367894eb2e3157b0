// Numbers, times and states as people read them. Times are in the viewer's zone, with UTC in the title.

const empty = "–";
const known = (value) => typeof value === "number" && Number.isFinite(value);

export function number(value, places = 0) {
  if (!known(value)) return empty;
  if (Math.abs(value) >= 100000) return scaled(value, 1000, ["", "k", "M", "G", "T", "P"]);
  return value.toFixed(Math.abs(value) >= 1000 ? 0 : places);
}

function scaled(value, base, units, places = 1) {
  let step = 0;
  while (Math.abs(value) >= base && step < units.length - 1) [value, step] = [value / base, step + 1];
  return `${value.toFixed(Math.abs(value) >= 100 || step === 0 ? 0 : places)}${units[step] && ` ${units[step]}`}`;
}

// As many digits as a reader uses, and no zeros behind them.
export const significant = (value, digits = 4) => (known(value) ? String(Number(value.toPrecision(digits))) : empty);
export const short_of = (text) => text.replace(/\.0+(?=\D|$)/, "").replace(/(\.\d*?[1-9])0+(?=\D|$)/, "$1");
// Of equal labels in a row one stays, where it is exact: the first of those from the bottom, the last of others (half is rounded up).
export const distinct = (texts) => texts.map((text, at) => (text === (text === texts[0] ? texts[at - 1] : texts[at + 1]) ? "" : text));
export const bytes = (value) => (known(value) ? scaled(value, 1000, ["B", "kB", "MB", "GB", "TB"]) : empty);
export const percent = (value, places = 0) => (known(value) ? `${(value * 100).toFixed(places)} %` : empty);
export const share = (value) => (known(value) ? `${number(value)} %` : empty);
export const degrees = (value) => (known(value) ? `${number(value)} °C` : empty);
export const hertz = (value) => (known(value) ? scaled(value, 1000, ["Hz", "kHz", "MHz", "GHz"], 2) : empty);
export const seconds = (value) => (known(value) ? (value < 1 ? `${number(value * 1000, value < 0.01 ? 2 : 1)} ms` : `${number(value, 2)} s`) : empty);

export function duration(value) {
  if (!known(value)) return empty;
  const [amount, unit] = [[86400, "d"], [3600, "h"], [60, "min"]].find(([size]) => value >= size * 1.5) ?? [1, "s"];
  return `${Math.max(0, Math.floor(value / amount))} ${unit}`;
}

const local = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const short = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

export const unix = (value) => (typeof value === "string" ? Date.parse(value) / 1000 : value);
export const utc = (value) => (known(unix(value)) ? new Date(unix(value) * 1000).toISOString().replace("T", " ").slice(0, 19) + " UTC" : "");
export const when = (value) => (known(unix(value)) ? local.format(new Date(unix(value) * 1000)) : empty);
// A time where nothing can be hovered: in the viewer's zone, and UTC behind it where that is another.
export const both = (value) => (new Date(value * 1000).getTimezoneOffset() ? `${when(value)} (${utc(value).slice(11)})` : `${when(value)} UTC`);
export const clock = (value) => (known(unix(value)) ? short.format(new Date(unix(value) * 1000)) : empty);

const LEVELS = {
  online: "good", degraded: "warn", offline: "bad", silent: "bad", unknown: "off", starting: "info", ended: "off", down: "bad",
  normal: "good", drift: "bad", learning: "info", none: "off", unusable: "warn",
};
export const level = (state) => LEVELS[state] ?? "warn";
export const severity = (name) => ({ critical: "critical", warning: "warn", info: "info" })[name] ?? "warn";
