// What was promised, how much of the allowance for errors is left, and which alerts are on.

import { read } from "./api.js";
import { h, table } from "./dom.js";
import { signFor } from "./signs.js";
import { ago, number, percent } from "./words.js";

const SIGNS = { firing: "dead", pending: "sick", resolved: "well" };

export function showObjectives(root) {
  const body = h("div", {}, h("p", { class: "soft" }, "…"));
  root.append(h("h2", {}, "Objectives and alerts"), body);
  let askedAt = 0;
  async function ask() {
    askedAt = Date.now();
    try {
      const { objectives, alerts } = await read("/api/objectives");
      body.replaceChildren(
        h("h3", {}, "Alerts"),
        alerts.length ? h("ul", { class: "matters" }, alerts.map((alert) => h("li", {}, signFor(SIGNS[alert.state] ?? "coming"),
          h("span", {}, h("b", {}, `${alert.summary} `), `${alert.sentence} `, h("span", { class: "soft" }, `${alert.state} since ${ago(alert.since_s)}`)))))
          : h("p", { class: "worded" }, signFor("well"), "No alert is on."),
        h("h3", {}, "Objectives"),
        objectives.length ? table("What was promised", ["service", "promise", "kept", "requests", "bad", "budget left", "burns"], objectives.map((one) => [
          one.service, one.sentence, one.good_ratio === null ? "–" : `${number(100 * one.good_ratio, 3)} %`, number(one.requests), number(one.bad),
          h("span", { class: "worded" }, signFor(one.budget_left_ratio > 0.2 ? "well" : one.budget_left_ratio > 0 ? "sick" : "dead"), percent(one.budget_left_ratio)),
          Object.entries(one.burn_rates).map(([name, { long }]) => `${name} ${number(long, 1)}×`).join(", "),
        ])) : h("p", { class: "soft" }, "None is declared: ", h("code", {}, "slo = { p99 = \"250ms\", availability = \"99.9%\" }"), " under a service does it."));
    } catch (error) {
      body.replaceChildren(h("p", {}, error.message, " ", h("span", { class: "soft" }, error.hint ?? "")));
    }
  }
  ask();
  return { update: () => Date.now() - askedAt > 5000 && ask() };
}
