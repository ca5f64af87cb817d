// The first screen: the picture, the part that somebody chose, what happens, and the same as a table.

import { h, table } from "./dom.js";
import { Events } from "./events.js";
import { Panel } from "./panel.js";
import { labelOf, Picture } from "./picture.js";
import { signFor } from "./signs.js";
import { HEALTHS, KINDS } from "./words.js";

const LEGEND = ["well", "coming", "leaving", "held", "sick", "dead"];

export function showOverview(root, context) {
  const frame = h("div", { class: "frame" });
  const panel = new Panel(context, () => { picture.select(""); context.chosen = ""; });
  const events = new Events(100);
  const matters = h("ul", { class: "matters", "aria-label": "What is not as it should be" });
  const tabular = h("details", { class: "tabular" }, h("summary", {}, "The same as a table"));
  const body = h("div");
  tabular.append(body);
  tabular.addEventListener("toggle", () => context.picture && fillTable(context.picture));

  const picture = new Picture(frame, (id) => {
    context.chosen = id;
    panel.show(context.picture.parts.find((part) => part.id === id));
  });

  function fillTable(now) {
    if (!tabular.open) return;
    const rows = now.parts.map((part) => [part.label, KINDS[part.kind] ?? part.kind, h("span", { class: "worded" }, signFor(part.health), HEALTHS[part.health]), labelOf(part).split(", ").slice(1).join(", ")]);
    body.replaceChildren(table("Every part of the system", ["part", "kind", "how it is", "why, and numbers"], rows));
  }

  function showMatters(now) {
    const lines = now.matters.map((matter) => [matter.text, matter.where[0], matter.level]);
    if (matters.dataset.lines === JSON.stringify(lines)) return;
    matters.dataset.lines = JSON.stringify(lines);
    matters.replaceChildren(...now.matters.slice(0, 8).map((matter) =>
      h("li", { "data-level": matter.level }, signFor({ outage: "dead", trouble: "sick" }[matter.level] ?? "coming"),
        h("span", {}, matter.text), matter.ask && h("a", { href: `#/why/${encodeURIComponent(matter.ask)}`, "aria-label": `Why: ${matter.text}` }, "why?"))));
  }

  root.append(
    h("h2", { class: "unseen" }, "The system now"),
    h("div", { class: "overview" },
      h("section", { class: "stage", "aria-label": "Picture of the system" },
        frame,
        h("ul", { class: "legend", "aria-label": "What the signs mean" }, LEGEND.map((health) => h("li", {}, signFor(health), HEALTHS[health]))),
        tabular),
      h("div", { class: "side" }, panel.element,
        h("section", { class: "card", "aria-labelledby": "matters-title" }, h("h2", { id: "matters-title" }, "Not as it should be"), matters,
          h("p", { class: "soft none" }, "Nothing.")),
        h("section", { class: "card", "aria-labelledby": "events-title" }, h("h2", { id: "events-title" }, "As it happens"), events.element))));

  return {
    update(now, fresh) {
      picture.draw(now);
      showMatters(now);
      fillTable(now);
      events.add(fresh);
      if (context.chosen) panel.update(now.parts.find((part) => part.id === context.chosen));
    },
    end: () => picture.end(),
  };
}

