// A shape for each health, so that colour is never the only difference. All are drawn around 0, 0 with a radius of 8.

import { s } from "./dom.js";

const SHAPES = {
  well: () => [s("circle", { r: 8, class: "body" }), s("path", { d: "M-3.6 0.2 -1 2.8 3.8 -2.6", class: "stroke" })],
  coming: () => [s("circle", { r: 7, class: "ring" }), s("circle", { r: 2.4, class: "body" })],
  leaving: () => [s("circle", { r: 7, class: "ring" }), s("path", { d: "M0 -7A7 7 0 0 0 0 7Z", class: "body" })],
  held: () => [s("rect", { x: -7.5, y: -7.5, width: 15, height: 15, rx: 2, class: "body" }),
    s("path", { d: "M-2.4 -3.4V3.4M2.4 -3.4V3.4", class: "stroke" })],
  sick: () => [s("path", { d: "M0 -9 9 7H-9Z", class: "body" }), s("path", { d: "M0 -3.4V1.6M0 4V4.6", class: "stroke" })],
  dead: () => [s("path", { d: "M-6 -6 6 6M6 -6 -6 6", class: "cross" })],
};

const OF_LEVEL = { well: "well", notice: "coming", trouble: "sick", outage: "dead", unknown: "leaving" };

/** Puts the shape of a health into a group, unless it is there already. */
export function drawSign(group, health) {
  if (group.dataset.health === health) return;
  group.dataset.health = health;
  group.replaceChildren(...SHAPES[health]());
}

export const drawLevel = (svg, level) => drawSign(svg, OF_LEVEL[level] ?? "leaving");

/** A small sign in a line of text; the words beside it say the same. */
export function signFor(health) {
  const svg = s("svg", { class: "sign small", viewBox: "-12 -12 24 24", "aria-hidden": "true" });
  drawSign(svg, health);
  return svg;
}
