// Charts with history: how it went over the last minutes, hours, days.

import { read } from "./api.js";
import { drawChart } from "./chart.js";
import { h, say } from "./dom.js";
import { bytes, milliseconds, number, percent, perSecond } from "./words.js";

const SPANS = [["10 min", 600], ["1 hour", 3600], ["6 hours", 21600], ["1 day", 86400], ["7 days", 604800], ["30 days", 2592000]];
const FORMATS = {
  per_s: perSecond, s: (value) => milliseconds(value === undefined || value === null ? null : value * 1000), bytes, share: percent,
  number: (value) => number(value, value < 1 ? 2 : 1),
};
const MOST_OFTEN_S = { 600: 2, 3600: 10 };

export function showCharts(root, context, wanted) {
  let spanS = Number(wanted) || 600;
  const grid = h("div", { class: "charts" });
  const told = h("p", { class: "soft", role: "status" });
  const spans = h("div", { class: "spans", role: "group", "aria-label": "How far back" }, SPANS.map(([label, seconds]) =>
    h("button", { type: "button", "aria-pressed": String(seconds === spanS), onclick: (event) => {
      spanS = seconds;
      for (const one of spans.children) one.setAttribute("aria-pressed", String(one === event.currentTarget));
      ask();
    } }, label)));
  let askedAt = 0, isAsking = false;
  async function ask() {
    if (isAsking) return;
    isAsking = true;
    askedAt = Date.now();
    try {
      const found = await read("/api/history", { span_s: spanS });
      const width = Math.max(260, Math.floor(grid.clientWidth / Math.max(1, Math.floor(grid.clientWidth / 420))) - 44);
      say(told, found.charts.length ? "" : "Nothing is remembered yet.");
      if (!grid.querySelector("svg:hover")) {
        grid.replaceChildren(...found.charts.map((chart) => drawChart({ ...chart, step_s: found.step_s }, { sinceS: found.since_s, untilS: found.until_s, width, format: FORMATS[chart.unit] })));
      }
    } catch (error) {
      say(told, `${error.message}. ${error.hint ?? ""}`);
    } finally {
      isAsking = false;
    }
  }
  root.append(h("div", { class: "bar" }, h("h2", {}, "Charts"), spans), told, grid);
  ask();
  return { update: () => Date.now() - askedAt > 1000 * (MOST_OFTEN_S[spanS] ?? 60) && ask() };
}
