// Curves over time: uPlot in the colours of the page, with marks, one cursor for all, and a drag that zooms.

import uPlot from "./vendor/uplot/uPlot.esm.js";
import { h } from "./dom.js";
import { api } from "./store.js";
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
    Object.assign(this, { span, marks });
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
        { value: (_, at) => (at === null ? "–" : f.when(at)) },
        ...this.shown.map((one) => ({
          label: one.label, stroke: colour(COLOURS[one.i % COLOURS.length]), width: 1.6, dash: DASHES[one.i % DASHES.length], spanGaps: true,
          points: { show: this.data[0].length < 3 }, value: (_, value) => this.text(value),
        })),
      ],
      hooks: {
        ready: [(plot) => this.newest(plot)],
        setCursor: [(plot) => plot.cursor.idx === null && this.newest(plot)],
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
    for (const mark of this.marks ?? []) {
      const x = Math.round(plot.valToPos(mark.at, "x", true)) + 0.5;
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  close() {
    this.plot?.destroy();
    this.resize.disconnect();
    drawn.delete(this);
  }
}

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
    width: Math.max(240, place.clientWidth), height: 210, scales: { x: { time: false } },
    axes: [{ ...axis, size: 26 }, { ...axis, size: 52, values: (_, ticks) => ticks.map((value) => f.short_of(f.percent(value, 1))) }],
    series: [{ value: (_, value) => f.number(value, 3) }, ...names.map(line)],
  }, [found.axis, ...parts], place);
}

window.addEventListener("theme", () => { for (const one of drawn) if (one.data && !one.node.hidden) one.draw(); });
