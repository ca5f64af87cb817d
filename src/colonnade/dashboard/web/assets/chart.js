// One chart: lines over time, drawn as SVG. A library would be many times the rest of the page for what is a path per line;
// none that ships its files in a wheel without a build was found.

import { h, s, say, set } from "./dom.js";
import { clockTime } from "./words.js";

const HEIGHT = 150, LEFT = 52, BOTTOM = 20, TOP = 8;

/** `chart`: {title, unit, lines: [{label, points: [[at_s, mean, max]]}]}; `format` turns a value into text. */
export function drawChart(chart, { sinceS, untilS, width, format }) {
  const lines = chart.lines.filter((line) => line.points.length);
  const top = niceTop(Math.max(0, ...lines.flatMap((line) => line.points.map(([, mean, max]) => max ?? mean))));
  const x = (atS) => LEFT + ((atS - sinceS) / (untilS - sinceS)) * (width - LEFT - 4);
  const y = (value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
  const svg = s("svg", { class: "chart", width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": inWords(chart, lines, format) });
  for (const share of [0, 0.5, 1]) {
    svg.append(s("line", { x1: LEFT, x2: width, y1: y(share * top), y2: y(share * top), class: "grid" }),
      s("text", { x: LEFT - 6, y: y(share * top) + 4, class: "note end" }, format(share * top)));
  }
  svg.append(s("text", { x: LEFT, y: HEIGHT - 4, class: "note" }, clockTime(sinceS)), s("text", { x: width - 4, y: HEIGHT - 4, class: "note end" }, clockTime(untilS)));
  lines.forEach((line, index) => {
    const pieces = unbroken(line.points, chart.step_s);
    if (line.points.some(([, , max]) => max !== undefined)) svg.append(s("path", { d: pieces.map((piece) => pathOf(piece, x, (point) => y(point[2] ?? point[1]))).join(""), class: `peak line-${index % 6}` }));
    svg.append(s("path", { d: pieces.map((piece) => pathOf(piece, x, (point) => y(point[1]))).join(""), class: `line line-${index % 6}` }));
  });
  const cursor = s("line", { y1: TOP, y2: HEIGHT - BOTTOM, class: "cursor", visibility: "hidden" });
  svg.append(cursor);
  const keys = lines.map((line, index) => ({ line, value: h("b"), index }));
  const at = h("span", { class: "soft" });
  const tell = (atS) => {
    for (const { line, value } of keys) say(value, format(valueAt(line.points, atS)));
    say(at, atS === null ? "now" : clockTime(atS));
  };
  svg.addEventListener("pointermove", (event) => {
    const inside = (event.clientX - svg.getBoundingClientRect().left - LEFT) / (width - LEFT - 4);
    const atS = sinceS + Math.max(0, Math.min(1, inside)) * (untilS - sinceS);
    set(cursor, "visibility", "visible");
    set(cursor, "x1", x(atS));
    set(cursor, "x2", x(atS));
    tell(atS);
  });
  svg.addEventListener("pointerleave", () => { set(cursor, "visibility", "hidden"); tell(null); });
  tell(null);
  return h("figure", { class: "card" },
    h("figcaption", {}, h("span", { class: "name" }, chart.title), " ", at),
    lines.length ? svg : h("p", { class: "soft" }, "Nothing is known of this time."),
    h("ul", { class: "keys" }, keys.map(({ line, value, index }) => h("li", { class: `key-${index % 6}` }, h("i", {}), `${line.label} `, value))));
}

function inWords(chart, lines, format) {
  const said = lines.map((line) => {
    const values = line.points.map(([, mean]) => mean);
    return `${line.label} ${format(values.at(-1))} now, at most ${format(Math.max(...line.points.map(([, mean, max]) => max ?? mean)))}`;
  });
  return `${chart.title}: ${said.join("; ") || "nothing is known"}`;
}

function niceTop(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value * 1.05) ?? 10 * power;
}

/** A gap in time is a gap in the line. */
function unbroken(points, stepS) {
  const pieces = [];
  for (const point of points) {
    const last = pieces.at(-1)?.at(-1);
    if (last && point[0] - last[0] <= 3 * Math.max(stepS, 2)) pieces.at(-1).push(point);
    else pieces.push([point]);
  }
  return pieces;
}

const pathOf = (points, x, y) => points.map((point, index) => `${index ? "L" : "M"}${x(point[0]).toFixed(1)} ${y(point).toFixed(1)}`).join("") + (points.length === 1 ? "h2" : "");

function valueAt(points, atS) {
  if (atS === null) return points.at(-1)?.[1];
  return points.reduce((best, point) => (Math.abs(point[0] - atS) < Math.abs(best[0] - atS) ? point : best), points[0])?.[1];
}
