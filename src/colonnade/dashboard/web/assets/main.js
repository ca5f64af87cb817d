// Begins: log in, then one stream for the whole page, and one view at a time.

import { hasProof, lines, logOut, read, Refused } from "./api.js";
import { byId, h, say, set } from "./dom.js";
import { enter, takeCode } from "./login.js";
import { showOverview } from "./overview.js";
import { showBackups, showDrills, showEvents, showLogs, showPlan, showVersions } from "./pages.js";
import { showCharts } from "./charts.js";
import { showObjectives } from "./objectives.js";
import { drawLevel } from "./signs.js";
import { beginTheme } from "./theme.js";
import { showWhy } from "./why.js";

const VIEWS = [
  ["", "Now", showOverview], ["charts", "Charts", showCharts], ["objectives", "Objectives", showObjectives],
  ["why", "Why", showWhy], ["events", "Events", showEvents], ["logs", "Logs", showLogs], ["versions", "Versions", showVersions],
  ["backups", "Backups", showBackups], ["drills", "Drills", showDrills], ["plan", "Plan", showPlan],
];
const RETRY_MS = [500, 1000, 2000, 5000];

const context = { role: "", picture: null, events: [], chosen: "", go: (hash) => { location.hash = hash; } };
let view = { update() {}, end() {} };

function showView() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const [path, title, show] = VIEWS.find(([one]) => one === name) ?? VIEWS[0];
  view.end?.();
  const main = byId("main");
  main.replaceChildren();
  main.dataset.view = path || "now";
  for (const link of byId("views").querySelectorAll("a")) {
    set(link, "aria-current", link.hash === `#/${path}` ? "page" : null);
  }
  view = show(main, context, decodeURIComponent(rest.join("/")));
  document.title = `${title} · ${context.picture?.name || "Colonnade"}`;
  if (context.picture) view.update(context.picture, context.events);
}

function showHeadline(picture) {
  const { level, text, ask } = picture.headline;
  set(byId("headline"), "data-level", level);
  drawLevel(byId("headline").querySelector("svg"), level);
  if (byId("headline-text").textContent !== text) {
    say(byId("headline-text"), text);
    say(byId("told"), text);
  }
  const why = byId("headline-why");
  why.hidden = !ask;
  why.href = `#/why/${encodeURIComponent(ask)}`;
  say(byId("system-name"), picture.name || "Colonnade");
}

function take({ picture, events }) {
  context.picture = picture;
  context.events = [...context.events, ...events].slice(-500);
  showHeadline(picture);
  view.update(picture, events);
}

/** One stream while the page is seen; a page that nobody sees holds no connection. */
async function follow() {
  let tries = 0;
  for (;;) {
    if (document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
    const ended = new AbortController();
    const hide = () => document.hidden && ended.abort();
    document.addEventListener("visibilitychange", hide);
    try {
      const after = context.events.at(-1)?.seq ?? 0;
      for await (const line of lines(`/api/live?after_seq=${after}`, ended.signal)) {
        tries = 0;
        take(line);
      }
    } catch (error) {
      if (error instanceof Refused && error.status === 401) return begin();
      if (error.name !== "AbortError") showLost();
    } finally {
      document.removeEventListener("visibilitychange", hide);
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]));
  }
}

function showLost() {
  const text = "The dashboard does not answer. What serves goes on; this page tries again.";
  if (context.picture) take({ picture: { ...context.picture, is_answering: false, headline: { level: "unknown", text, where: [], ask: "" } }, events: [] });
  else say(byId("headline-text"), text);
}

async function begin() {
  byId("top").hidden = true;
  const code = takeCode();
  const role = code || !hasProof() ? "" : await read("/api/session").then((answer) => answer.role, () => "");
  context.role = role || await enter(byId("main"), code);
  byId("role").hidden = context.role === "operator";
  byId("top").hidden = false;
  showView();
  follow();
}

byId("views").append(...VIEWS.map(([path, label]) => h("li", {}, h("a", { href: `#/${path}` }, label))));
byId("logout").addEventListener("click", () => logOut().finally(() => location.reload()));
window.addEventListener("hashchange", showView);
beginTheme(byId("theme"));
begin();
