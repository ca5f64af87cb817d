// One part of the picture, looked at: how it is, its numbers, why, and what can be asked of it.

import { read } from "./api.js";
import { actionsFor } from "./actions.js";
import { h, say } from "./dom.js";
import { signFor } from "./signs.js";
import { sentences } from "./why.js";
import { bytes, HEALTHS, milliseconds, number, perSecond } from "./words.js";

const FACTS = {
  service: (part) => [
    ["replicas", `${part.ready} of ${part.desired} in rotation`], ["requests", perSecond(part.requests_per_s)],
    ["errors", perSecond(part.errors_per_s)], ["turned away", perSecond(part.rejected_per_s)],
    ["answers after", milliseconds(part.response_ms)], ["waiting", `${number(part.queued)} of ${number(part.queue_max)}`],
    ["places busy", `${part.busy} of ${part.places}`], ["version", part.version ?? "–"], ["balance", part.balance],
    ["route", part.route || "inside only"],
  ],
  replica: (part) => [
    ["state", part.state], ["gateway has it as", part.gateway], ["in flight", number(part.in_flight)],
    ["answers after", milliseconds(part.response_ms)], ["requests", number(part.requests)],
    ["restarts", number(part.restarts)], ["version", part.version], ["process", part.pid ?? "–"], ["port", part.port ?? "–"],
  ],
  node: (part) => [
    ["role", part.role], ["state", part.state], ["behind", part.lag_bytes === null ? "–" : bytes(part.lag_bytes)],
    ["votes", part.sync_state || "–"], ["timeline", part.timeline ?? "–"], ["process", part.pid ?? "–"], ["port", part.port ?? "–"],
  ],
  gateway: (part) => [["process", part.pid ?? "–"], ["restarts", number(part.restarts)]],
  database: (part) => [["durability", part.durability || "–"], ["last failover", part.last_failover?.summary ?? "none"]],
};

export class Panel {
  constructor(context, onClose) {
    this.context = context;
    this.asked = 0;
    this.title = h("h2", { id: "part-title", tabindex: -1 });
    this.state = h("p", { class: "worded" });
    this.facts = h("dl", { class: "facts" });
    this.why = h("div", { class: "why" });
    this.actions = h("div", { class: "actions" });
    const close = h("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => { this.hide(); onClose(); } }, "×");
    this.element = h("section", { class: "card part", "aria-labelledby": "part-title", hidden: true },
      h("div", { class: "bar" }, this.title, close), this.state, this.actions, this.facts, h("h3", {}, "Why"), this.why);
  }

  hide() {
    this.element.hidden = true;
    this.part = undefined;
  }

  show(part) {
    if (!part) return;
    this.part = undefined;
    this.element.hidden = false;
    this.why.replaceChildren(h("p", { class: "soft" }, "…"));
    this.update(part);
    this.actions.replaceChildren(...actionsFor(part, this.context));
    this.title.focus({ preventScroll: window.innerWidth > 1000 });
  }

  /** A part that has gone stays as it was seen last. */
  update(part) {
    if (!part) return;
    const isOther = !this.part || ["health", "state", "why", "ask", "pid", "restarts"].some((key) => this.part[key] !== part[key]);
    say(this.title, part.label);
    const told = `${part.health} ${part.why}`;
    if (this.state.dataset.told !== told) {
      this.state.dataset.told = told;
      this.state.replaceChildren(signFor(part.health), h("span", {}, h("b", {}, HEALTHS[part.health]), `: ${part.why}`));
    }
    const facts = FACTS[part.kind]?.(part) ?? [];
    if (this.facts.children.length !== 2 * facts.length) {
      this.facts.replaceChildren(...facts.flatMap(([name]) => [h("dt", {}, name), h("dd")]));
    }
    facts.forEach(([, value], index) => say(this.facts.children[2 * index + 1], String(value)));
    if (isOther && this.part) this.actions.replaceChildren(...actionsFor(part, this.context));
    this.part = part;
    if (isOther) this.#ask(part);
  }

  /** Answers may overtake each other: only that to the newest question is shown. */
  async #ask(part) {
    const question = ++this.asked;
    let told;
    try {
      told = sentences((await read("/api/why", { about: part.ask, count: 4 })).sentences);
    } catch (error) {
      told = h("p", { class: "soft" }, error.message);
    }
    if (question === this.asked) this.why.replaceChildren(told);
  }
}
