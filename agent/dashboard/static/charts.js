// Curves over time: uPlot in the colours of the page, with marks, one cursor for all, and a drag that zooms.

import uPlot from "./vendor/uplot/uPlot.esm.js";
import { h } from "./dom.js";
import { api } from "./store.js";
import { kindOf } from "./parts.js";
import * as f from "./format.js";

export const COLOURS = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8"];
const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const drawn = new Set();

// What a curve of roll-ups shows is said beside it: the largest of percentiles, sums, means.
const RESOLUTION = { window: "", hour: "by hour", day: "by day" };

export class Curves {
  // series: [{ field, label }], format: value -> text
  constructor(title, series, format, { entity, zoom, floor = 0 }) {
    Object.assign(this, { title, series, format, entity, zoom, floor });
    this.place = h("div", { class: "plot" });
    this.note = h("span", { class: "muted" });
    this.node = h("figure", { class: "panel chart" }, h("figcaption", {}, h("h3", {}, title), this.note), this.place);
    this.resize = new ResizeObserver(() => this.plot?.setSize(this.size()));
    this.resize.observe(this.place);
    drawn.add(this);
  }

  size() {
    return { width: Math.max(220, this.place.clientWidth), height: 150 };
  }

  async load(key, span, marks) {
    const found = await api("curves", { ...key, entity: this.entity, fields: this.series.map((one) => one.field).join(","), ...span });
    this.shown = this.series.map((one, i) => ({ ...one, i })).filter((one) => found.series[one.field].some((value) => value !== null));
    this.data = [found.times, ...this.shown.map((one) => found.series[one.field])];
    this.note.textContent = RESOLUTION[found.resolution] ?? "";
    Object.assign(this, { span, marks, resolution: found.resolution });
    const filled = this.shown.length > 0;
    this.node.hidden = !filled;
    if (filled) this.draw();
  }

  draw() {
    this.plot?.destroy();
    this.plot = new uPlot(this.options(), this.data, this.place);
  }

  options() {
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    return {
      ...this.size(),
      cursor: { sync: { key: "all" }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
      legend: { live: true },
      scales: { x: { range: [this.span.from, this.span.to] }, y: { range: (_, low, high) => this.bounds(low, high) } },
      axes: [{ ...axis, size: 26, space: 70, values: (_, ticks, __, ___, step) => ticks.map((at) => label(at, step)) }, { ...axis, size: 58, values: (_, ticks) => f.distinct(ticks.map((value) => f.short_of(this.text(value)))) }],
      series: [
        { value: (_, at) => (at === null ? "–" : f.both(at)) },
        ...this.shown.map((one) => ({
          label: one.label, stroke: colour(COLOURS[one.i % COLOURS.length]), width: 1.6, dash: DASHES[one.i % DASHES.length], spanGaps: true,
          points: { show: this.data[0].length < 3 }, value: (_, value) => this.text(value),
        })),
      ],
      hooks: {
        ready: [(plot) => this.newest(plot)],
        setCursor: [(plot) => { if (plot.cursor.idx === null) this.newest(plot); this.nameMark(plot); }],
        draw: [(plot) => this.drawMarks(plot)],
        setSelect: [(plot) => {
          if (plot.select.width < 8) return;
          const [from, to] = [plot.select.left, plot.select.left + plot.select.width].map((x) => plot.posToVal(x, "x"));
          if (to - from >= 60) this.zoom(from, to);
        }],
      },
    };
  }

  text(value) {
    return value === null || value === undefined ? "–" : this.format(value);
  }

  // Without a cursor the legend has the newest values.
  newest(plot) {
    plot.setLegend({ idxs: this.data.map((values) => values.findLastIndex((value) => value !== null)) }, false);
  }

  bounds(low, high) {
    if (low === null || high === null) return [0, 1];
    const [bottom, top] = [Math.min(low, this.floor ?? low), high];
    return top > bottom ? [bottom, top + (top - bottom) * 0.08] : [bottom, bottom + (Math.abs(bottom) || 1)];
  }

  drawMarks(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = colour("--mark");
    ctx.setLineDash([3, 3]);
    ctx.fillStyle = colour("--muted");
    ctx.font = `${10 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textBaseline = "top";
    ctx.textAlign = "left";
    let free = bbox.left;
    for (const mark of byWeight(this.marks ?? [])) {
      const x = Math.round(plot.valToPos(mark.at, "x", true)) + 0.5;
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const [word, gap] = [kindOf(mark), 3 * devicePixelRatio];
      const width = ctx.measureText(word).width;
      const left = x + gap + width <= bbox.left + bbox.width ? x + gap : x - gap - width; // at the right edge to its left
      if (mark.kind === "state" || left < free) continue;
      ctx.fillText(word, left, bbox.top);
      free = left + width + 2 * gap;
    }
    ctx.restore();
  }

  // The mark under the cursor, in words.
  nameMark(plot) {
    const left = plot.cursor.left ?? -10;
    const near = left < 0 ? null : (this.marks ?? []).map((mark) => [Math.abs(plot.valToPos(mark.at, "x") - left), mark]).filter(([away]) => away < 6).sort((a, b) => a[0] - b[0] || weight(a[1]) - weight(b[1]))[0]?.[1];
    this.note.textContent = near ? `${kindOf(near)}: ${near.text.slice(0, 60)}, ${f.clock(near.at)}` : RESOLUTION[this.resolution] ?? "";
  }

  close() {
    this.plot?.destroy();
    this.resize.disconnect();
    drawn.delete(this);
  }
}

// In the order of time; of several at once (a restart brings a version and a model) the one that says most comes first.
const WEIGHTS = ["restart", "model", "config", "config_error", "version"];
const weight = (mark) => (WEIGHTS.indexOf(mark.kind) + 1 || WEIGHTS.length + 1);
const byWeight = (marks) => [...marks].sort((a, b) => (Math.abs(a.at - b.at) < 5 ? weight(a) - weight(b) : a.at - b.at));

function label(at, step) {
  const date = new Date(at * 1000);
  if (step >= 86400 || (date.getHours() === 0 && date.getMinutes() === 0)) return date.toLocaleDateString(undefined, { month: "short", day: "numeric" });
  return date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(step < 60 && { second: "2-digit" }) });
}

// Two distributions of one feature on one axis.
export function densities(place, found, names) {
  const parts = found.parts.map((part) => part?.share ?? found.axis.map(() => null));
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  const line = (name, i) => ({ label: name, stroke: colour(COLOURS[i]), fill: colour(COLOURS[i]) + "22", width: 2, dash: DASHES[1 - i], points: { show: false }, value: (_, value) => f.percent(value, 1) });
  return new uPlot({
    width: Math.max(240, place.clientWidth), height: 210, scales: { x: { time: false } }, hooks: { draw: [(plot) => drawRanks(plot, found.parts)] },
    axes: [{ ...axis, size: 26 }, { ...axis, size: 52, values: (_, ticks) => ticks.map((value) => f.short_of(f.percent(value, 1))) }],
    series: [{ value: (_, value) => f.number(value, 3) }, ...names.map(line)],
  }, [found.axis, ...parts], place);
}

const RANKS = ["p10", "p50", "p90"];

// p10, p50 and p90 of both as short lines at the foot, the median's to the top.
function drawRanks(plot, parts) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.font = `${10 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textAlign = "center";
  parts.forEach((part, i) => part?.quantiles.forEach((value, rank) => {
    const x = Math.round(plot.valToPos(value, "x", true)) + 0.5;
    if (x < bbox.left || x > bbox.left + bbox.width) return;
    const top = bbox.top + bbox.height * (rank === 1 ? 0.06 : 0.62) + i * 12 * devicePixelRatio;
    ctx.strokeStyle = ctx.fillStyle = colour(COLOURS[i]);
    ctx.setLineDash(DASHES[1 - i]);
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.fillText(RANKS[rank], x, top - 2 * devicePixelRatio);
  }));
  ctx.restore();
}

window.addEventListener("theme", () => { for (const one of drawn) if (one.data && !one.node.hidden) one.draw(); });
