// What happens, newest first, in a list of bounded length. A screen reader is told of each that is new.

import { h } from "./dom.js";
import { clockTime } from "./words.js";

const GRAVE = /exited|killed|failed|looping|lost|refused|crash|fenced|sick|down$|unreached/;
const GOOD = /ready|running|finished|started$|adopted|well_again|opened|up$/;

// True, and of interest only to whoever searches for it.
const ASIDE = ["gateway_changed membership_differs", "routes_published", "database_assessed all_well", "history_kept"];

const isAside = ({ kind, reason }) => ASIDE.some((one) => one === kind || one === `${kind} ${reason}`);

export class Events {
  constructor(countMax, { isWhole = false } = {}) {
    this.countMax = countMax;
    this.isWhole = isWhole;
    this.list = h("ol", { reversed: true });
    this.element = h("div", { class: "events", role: "log", "aria-label": "Events, newest first", tabindex: 0 }, this.list);
    this.isFirst = true;
  }

  add(all) {
    const events = this.isWhole ? all : all.filter((event) => !isAside(event));
    if (!events.length) return;
    // What was before is shown and not read out.
    if (this.isFirst) this.element.setAttribute("aria-live", "off");
    this.list.prepend(...events.map(lineOf).reverse());
    while (this.list.children.length > this.countMax) this.list.lastChild.remove();
    if (this.isFirst) setTimeout(() => this.element.setAttribute("aria-live", "polite"), 1000);
    this.isFirst = false;
  }
}

export function lineOf(event) {
  const tone = GRAVE.test(event.kind) ? "grave" : GOOD.test(event.kind) ? "good" : "plain";
  return h("li", { "data-tone": tone },
    h("time", { datetime: new Date(event.at_s * 1000).toISOString() }, clockTime(event.at_s)),
    h("span", { class: "kind" }, event.kind.replaceAll("_", " ")),
    h("span", { class: "message" }, event.message));
}
