// Why: the answer of `colonnade why`, and the question.

import { read } from "./api.js";
import { h } from "./dom.js";
import { ago, clockTime } from "./words.js";

export function sentences(told) {
  return h("ol", { class: "sentences" }, told.map((one) =>
    h("li", { class: one.at_s === null ? "now" : "" },
      one.at_s !== null && h("time", { datetime: new Date(one.at_s * 1000).toISOString(), title: clockTime(one.at_s) }, ago(one.at_s)),
      h("span", { class: "text" }, one.text),
      one.hint && h("span", { class: "hint" }, `→ ${one.hint}`))));
}

export function showWhy(root, context, about = "") {
  const answer = h("div", { "aria-live": "polite" });
  const choice = h("select", { id: "about", name: "about" });
  const options = (picture) => [
    ["", "everything"], ["slow", "what is slow"], ["scaled", "why services were scaled"],
    ...picture.parts.map((part) => [part.ask, part.label]),
  ];
  async function ask() {
    try {
      answer.replaceChildren(sentences((await read("/api/why", { about: choice.value, count: 50 })).sentences));
    } catch (error) {
      answer.replaceChildren(h("p", {}, error.message, " ", h("span", { class: "soft" }, error.hint)));
    }
  }
  function fill(picture) {
    const known = new Map(options(picture));
    if (about && !known.has(about)) known.set(about, about);
    choice.replaceChildren(...[...known].map(([value, label]) => h("option", { value, selected: value === about }, label)));
    choice.value = about;
    ask();
  }
  choice.addEventListener("change", () => { about = choice.value; ask(); });
  root.append(h("h2", {}, "Why"), h("p", { class: "field" }, h("label", { for: "about" }, "Ask about"), choice), answer);
  let isFilled = false;
  return {
    update(picture, events) {
      if (!isFilled) fill(picture);
      else if (events.length) ask();
      isFilled = true;
    },
  };
}
