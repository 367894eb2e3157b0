// Builds elements. Text is always text: nothing here, or on any page, parses HTML (Trusted Types forbid it).

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) node.style.setProperty(key, one);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);
export const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

// A change of `key` without a page of its own: a button that looks like its words.
export const button = (text, onclick, props) => h("button", { type: "button", onclick, ...props }, text);

export function sparkline(values, width = 84, height = 22) {
  const top = Math.max(...values, 1e-9);
  const points = values.map((value, i) => {
    const x = values.length > 1 ? (i / (values.length - 1)) * (width - 2) + 1 : width - 1;
    return `${x.toFixed(1)},${(height - 2 - (value / top) * (height - 4)).toFixed(1)}`;
  });
  return s("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
    points.length > 1 && s("polygon", { points: `1,${height - 1} ${points.join(" ")} ${width - 1},${height - 1}` }),
    points.length > 1 && s("polyline", { points: points.join(" ") }));
}

// An icon for a state, each with a shape of its own: the colour only adds to it.
const SHAPES = {
  good: "M3 8.500l3.200 3.200L13 4.500", warn: "M8 2.500l6 11H2zM8 7v3M8 11.800v.2", bad: "M4 4l8 8M12 4l-8 8",
  critical: "M8 1.800l6.200 6.200L8 14.200 1.800 8zM8 5v3.600M8 10.600v.2", off: "M3 8h10", info: "M8 7v4.500M8 4.300v.2M8 1.800a6.200 6.200 0 100 12.400A6.200 6.200 0 008 1.800z",
};
export const icon = (level) =>
  s("svg", { class: `icon ${level}`, viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, s("path", { d: SHAPES[level] ?? SHAPES.info }));

export const badge = (level, text, title) => h("span", { class: `badge ${level}`, title }, icon(level), text);
