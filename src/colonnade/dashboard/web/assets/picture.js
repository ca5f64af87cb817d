// The living picture: places from layout.js, shapes from signs.js, and every second the newest numbers put into what is
// drawn already. It is drawn anew only when parts come or go, or the window changes, and then keeps the focus.

import { s, say, set } from "./dom.js";
import { cellFor, layOut, pathOf, widthOf } from "./layout.js";
import { drawSign } from "./signs.js";
import { bytes, HEALTHS, KINDS, number, perSecond } from "./words.js";

const MOVES = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

export class Picture {
  /** `onSelect(id)` is called when somebody chooses a part. */
  constructor(frame, onSelect) {
    this.frame = frame;
    this.onSelect = onSelect;
    this.svg = s("svg", { class: "picture", role: "group", "aria-label": "The system, part by part. Arrow keys go from one to the next, Enter shows one." });
    this.svg.addEventListener("keydown", (event) => this.#key(event));
    this.frame.append(this.svg);
    this.shape = "";
    this.selected = "";
    this.observer = new ResizeObserver(() => this.picture && this.draw(this.picture));
    this.observer.observe(frame);
  }

  end() {
    this.observer.disconnect();
    this.svg.remove();
  }

  draw(picture) {
    this.picture = picture;
    const width = Math.floor(this.frame.clientWidth);
    if (width < 100) return;
    const shape = [width, ...picture.parts.map((part) => part.id), ...picture.flows.map((flow) => `${flow.from}>${flow.to}`)].join(" ");
    if (shape !== this.shape) {
      this.shape = shape;
      this.#build(picture, width);
    }
    this.#update(picture);
  }

  select(id) {
    this.selected = id;
    for (const [key, part] of this.parts ?? []) if (key !== "visitors") set(part.group, "aria-pressed", key === id ? "true" : "false");
  }

  #build(picture, width) {
    const hadFocus = this.svg.contains(document.activeElement) ? document.activeElement.dataset.id : "";
    const places = layOut(picture, width);
    set(this.svg, "viewBox", `0 0 ${places.width} ${places.height}`);
    set(this.svg, "width", places.width);
    set(this.svg, "height", places.height);
    this.flows = picture.flows.filter((flow) => pathOf(flow, places)).map((flow) => drawFlow(flow, places));
    this.parts = new Map();
    const visitors = { id: "visitors", kind: "visitors", label: "visitors", health: "well", why: "ask for pages" };
    for (const part of [visitors, ...picture.parts]) {
      const box = places.boxes.get(part.id), dot = places.dots.get(part.id);
      if (box) this.parts.set(part.id, drawBox(part, box));
      else if (dot) this.parts.set(part.id, part.kind === "node" ? drawNode(part, dot) : drawReplica(part, dot));
    }
    this.links = drawReplication(picture, places);
    const groups = [...this.parts.values()].map((part) => part.group);
    for (const group of groups) group.addEventListener("click", () => this.#choose(group));
    this.svg.replaceChildren(
      s("g", { class: "flows", "aria-hidden": "true" }, this.flows.flatMap((flow) => flow.lines)),
      ...groups,
      s("g", { class: "flows", "aria-hidden": "true" }, this.links.map((link) => link.line)));
    this.#tabStop(hadFocus && this.parts.has(hadFocus) ? hadFocus : groups[0].dataset.id);
    if (hadFocus) this.parts.get(hadFocus)?.group.focus();
    this.select(this.selected);
  }

  #update(picture) {
    this.svg.classList.toggle("stale", !picture.is_answering);
    const where = new Set(picture.headline.where);
    for (const part of picture.parts) {
      const drawn = this.parts.get(part.id);
      if (!drawn) continue;
      drawSign(drawn.sign, part.health);
      set(drawn.group, "data-health", part.health);
      set(drawn.group, "data-told", where.has(part.id) ? "yes" : null);
      set(drawn.group, "aria-label", labelOf(part));
      drawn.update(part);
    }
    const inbound = picture.flows.find((flow) => flow.from === "visitors");
    this.parts.get("visitors")?.update({ per_s: inbound?.per_s });
    picture.flows.filter((flow) => flow.kind !== "replication").forEach((flow, index) => this.flows[index]?.update(flow));
    for (const link of this.links) link.update(picture);
  }

  #choose(group) {
    this.#tabStop(group.dataset.id);
    if (group.dataset.id === "visitors") return;
    this.select(group.dataset.id);
    this.onSelect(group.dataset.id);
  }

  #tabStop(id) {
    for (const [key, part] of this.parts) set(part.group, "tabindex", key === id ? 0 : -1);
  }

  #key(event) {
    const ids = [...this.parts.keys()];
    const at = ids.indexOf(event.target.dataset?.id);
    if (at < 0) return;
    if (event.key === "Enter" || event.key === " ") this.#choose(event.target);
    else if (event.key in MOVES) this.#focus(ids[(at + MOVES[event.key] + ids.length) % ids.length]);
    else if (event.key === "Home") this.#focus(ids[0]);
    else if (event.key === "End") this.#focus(ids[ids.length - 1]);
    else return;
    event.preventDefault();
  }

  #focus(id) {
    this.#tabStop(id);
    this.parts.get(id).group.focus();
  }
}

/** What a screen reader says of a part: its name, how it is, and the numbers that the picture shows. */
export function labelOf(part) {
  const said = [`${KINDS[part.kind] ?? part.kind} ${part.label}`.replace(/^(\w+) \1$/, "$1"), `${HEALTHS[part.health]}: ${part.why}`];
  if (part.kind === "service") said.push(perSecond(part.requests_per_s), `${part.queued} waiting`);
  if (part.kind === "replica" && part.in_flight !== null) said.push(`${part.in_flight} in flight`);
  if (part.kind === "node") said.push(part.role, lagOf(part));
  return said.filter(Boolean).join(", ");
}

const lagOf = (node) => (node.lag_bytes === null || node.state !== "standby" ? "" : node.lag_bytes < 1000 ? "no lag" : `${bytes(node.lag_bytes)} behind`);

function group(part, extra = {}) {
  return s("g", { class: `part ${part.kind}`, role: "button", tabindex: -1, "data-id": part.id, "aria-label": part.label, "aria-pressed": "false", ...extra });
}

function drawBox(part, box) {
  const { x, y, width, height } = box;
  const sign = s("g", { transform: `translate(${x + 22} ${y + 24})`, class: "sign" });
  const title = s("text", { x: x + 40, y: y + 29, class: "title" }, part.label);
  const first = s("text", { x: x + 16, y: y + 50, class: "note" });
  const aside = s("text", { x: x + width - 14, y: y + 29, class: "note end" });
  const queue = s("rect", { x: x, y: y + height - 4, width: 0, height: 4, class: "queue" });
  const element = group(part, part.kind === "visitors" ? { role: "img", "aria-pressed": null } : {});
  element.append(s("rect", { x, y, width, height, rx: 12, class: "box" }), queue, sign, title, first, aside);
  if (part.kind === "visitors") sign.append(s("circle", { r: 4, cy: -4, class: "person" }), s("path", { d: "M-8 8A8 7 0 0 1 8 8Z", class: "person" }));
  const update = {
    visitors: (now) => { say(first, perSecond(now.per_s)); set(element, "aria-label", `visitors, ${perSecond(now.per_s)}`); },
    gateway: (now) => say(first, now.health === "well" ? "in front of all" : now.why),
    service: (now) => {
      say(aside, `${now.ready} of ${now.desired}`);
      const rate = perSecond(now.requests_per_s), errors = now.errors_per_s ? ` · ${perSecond(now.errors_per_s)} errors` : "";
      const turned = now.rejected_per_s ? ` · ${perSecond(now.rejected_per_s)} turned away` : "";
      const waiting = now.queued ? ` · ${number(now.queued)} wait` : "";
      say(first, `${rate}${waiting}${errors}${turned}`);
      set(queue, "width", Math.min(1, now.queued / Math.max(1, now.queue_max)) * width);
    },
    database: (now) => say(first, now.health === "well" ? "takes reads and writes" : "see its nodes"),
  }[part.kind];
  return { group: element, sign, update: update ?? (() => {}) };
}

function drawReplica(part, { x, y, size }) {
  const isLarge = size >= 46;
  const scale = size >= 74 ? 1.6 : size >= 62 ? 1.35 : size >= 46 ? 1.1 : size >= cellFor(80) ? 0.95 : 0.78;
  const sign = s("g", { transform: `translate(${x} ${y - (isLarge ? 6 : 0)}) scale(${scale})`, class: "sign" });
  const label = isLarge ? s("text", { x, y: y + size * 0.34, class: "note middle" }) : null;
  const element = group(part);
  if (!isLarge) element.classList.add("small");
  element.append(s("rect", { x: x - size / 2 + 1.5, y: y - size / 2 + 1.5, width: size - 3, height: size - 3, rx: 8, class: "cell" }), sign);
  element.append(s("title", {}, part.label));
  if (label) element.append(label);
  const name = `/${part.label.split("/").pop()}`;
  return { group: element, sign, update: (now) => {
    if (label) say(label, now.in_flight && size >= 62 ? `${name} · ${now.in_flight}` : name);
  } };
}

function drawNode(part, { x, y }) {
  const sign = s("g", { transform: `translate(${x} ${y})`, class: "sign" });
  const name = s("text", { x: x + 18, y: y - 2, class: "title" });
  const note = s("text", { x: x + 18, y: y + 15, class: "note" });
  const element = group(part);
  element.append(s("rect", { x: x - 18, y: y - 23, width: 186, height: 46, rx: 8, class: "cell" }), sign, name, note);
  return { group: element, sign, update: (now) => {
    say(name, `${now.label} · ${now.role}`);
    say(note, now.health === "well" && now.state === "standby" ? `follows, ${lagOf(now) || "reached"}` : now.why);
  } };
}

function drawFlow(flow, places) {
  const path = pathOf(flow, places);
  const lines = [s("path", { d: path, class: `flow ${flow.kind}` }), s("path", { d: path, class: "moving" })];
  return { lines, update: (now) => {
    const width = widthOf(now.per_s, places.isNarrow);
    set(lines[0], "stroke-width", now.kind === "requests" ? width.toFixed(1) : 1.5);
    set(lines[1], "data-pace", !now.per_s ? "none" : now.per_s < 5 ? "slow" : now.per_s < 100 ? "steady" : "fast");
  } };
}

/** Lines from the primary to those that follow it, along the left of the database. */
function drawReplication(picture, places) {
  return picture.parts.filter((part) => part.kind === "node" && places.dots.has(part.id)).map((part) => {
    const line = s("path", { class: "flow replication" });
    return { line, update: (now) => {
      const flow = now.flows.find((one) => one.kind === "replication" && one.to === part.id);
      const to = places.dots.get(part.id), from = flow && places.dots.get(flow.from);
      if (!from) return set(line, "d", "M0 0");
      const out = Math.min(from.x, to.x) - 30;
      return set(line, "d", `M${from.x - 13} ${from.y}C${out} ${from.y} ${out} ${to.y} ${to.x - 13} ${to.y}`);
    } };
  });
}

