// The pages that are lists: events, logs, versions, backups, drills, the plan.

import { read } from "./api.js";
import { confirmAndSend } from "./actions.js";
import { h, say, table } from "./dom.js";
import { Events } from "./events.js";
import { signFor } from "./signs.js";
import { ago, bytes, clockTime, milliseconds, number, plural } from "./words.js";

/** Reads once and again whenever something happened; what refuses is said in its place. */
function listing(root, title, path, fill, buttons = []) {
  const body = h("div", {}, h("p", { class: "soft" }, "…"));
  root.append(h("div", { class: "bar" }, h("h2", {}, title), h("div", { class: "actions" }, buttons)), body);
  let isAsking = false;
  async function ask() {
    if (isAsking) return;
    isAsking = true;
    try {
      body.replaceChildren(...[fill(await read(path))].flat().filter(Boolean));
    } catch (error) {
      body.replaceChildren(h("p", {}, error.message, " ", h("span", { class: "soft" }, error.hint ?? "")));
    } finally {
      isAsking = false;
    }
  }
  ask();
  return { update: (_, fresh) => fresh.length && ask() };
}

const button = (context, label, question) => (context.role === "operator"
  ? h("button", { type: "button", onclick: () => confirmAndSend(question) }, label) : null);

const none = (text) => h("p", { class: "soft" }, text);

export function showEvents(root, context) {
  const events = new Events(500, { isWhole: true });
  const find = h("input", { id: "find-event", type: "search", placeholder: "backend/2, killed, …" });
  let needle = "";
  function refill() {
    events.list.replaceChildren();
    events.add(context.events.filter((event) => JSON.stringify(event).toLowerCase().includes(needle)));
  }
  find.addEventListener("input", () => { needle = find.value.toLowerCase(); refill(); });
  root.append(h("h2", {}, "Events"), h("p", { class: "field" }, h("label", { for: "find-event" }, "Search"), find), events.element);
  let isFirst = true;
  return { update(_, fresh) {
    if (isFirst) refill();
    else events.add(fresh.filter((event) => JSON.stringify(event).toLowerCase().includes(needle)));
    isFirst = false;
  } };
}

export function showLogs(root, context, wanted = "") {
  const choice = h("select", { id: "log" });
  const find = h("input", { id: "find", type: "search", placeholder: "part of a line" });
  const told = h("p", { class: "soft", role: "status" });
  const output = h("pre", { class: "log", tabindex: 0, "aria-label": "The end of the log" });
  const isFollowing = h("input", { id: "follow", type: "checkbox", checked: true });
  async function ask() {
    if (!choice.value) return;
    try {
      const { lines } = await read("/api/logs", { name: choice.value, find: find.value, count: 500 });
      const text = lines.join("\n");
      if (output.textContent !== text) {
        const isAtEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 40;
        output.textContent = text;
        if (isAtEnd) output.scrollTop = output.scrollHeight;
      }
      say(told, lines.length ? `the last ${plural(lines.length, "line")}${find.value ? ` with “${find.value}”` : ""}` : "no such line");
    } catch (error) {
      say(told, `${error.message}. ${error.hint ?? ""}`);
    }
  }
  read("/api/logs").then(({ logs }) => {
    choice.append(...logs.map(({ name, size_bytes: size }) => h("option", { value: name }, `${name} (${bytes(size)})`)));
    choice.value = logs.some(({ name }) => name === wanted) ? wanted : logs[0]?.name ?? "";
    ask();
  }, (error) => say(told, error.message));
  let soon;
  choice.addEventListener("change", ask);
  find.addEventListener("input", () => { clearTimeout(soon); soon = setTimeout(ask, 250); });
  root.append(h("h2", {}, "Logs"), h("div", { class: "fields" },
    h("p", { class: "field" }, h("label", { for: "log" }, "Log of"), choice),
    h("p", { class: "field" }, h("label", { for: "find" }, "Search"), find),
    h("p", { class: "field inline" }, isFollowing, h("label", { for: "follow" }, "follow"))), told, output);
  let ticks = 0;
  return { update: () => { ticks += 1; if (isFollowing.checked && ticks % 2 === 0) ask(); } };
}

export function showVersions(root, context) {
  const deploy = button(context, "Deploy …", { title: "Deploy what stands in the directory", path: "/api/deploy", text: "Replicas are replaced one by one by the new version; one that is bad is undone by itself.", body: () => ({ services: [] }) });
  return listing(root, "Versions", "/api/versions", ({ versions, deployment }) => [
    deployment && h("p", { class: "card" }, h("b", {}, "Last deployment: "), deployment.message || deployment.stage || deployment.state || ""),
    versions.length ? table("Versions that are kept", ["version", "taken", "", "files", "size", "what changed", ""], versions.map((version) => [
      String(version.number), clockTime(version.at_s), version.is_current ? h("span", { class: "worded" }, signFor("well"), "runs") : "",
      number(version.files), bytes(version.bytes), version.message,
      version.is_current ? "" : button(context, "Go back to it …", { title: `Go back to version ${version.number}`, path: "/api/rollback", text: "Its code and its declaration run again, replica by replica.", body: () => ({ version: version.number }) }) ?? "",
    ])) : none("No version is kept yet."),
  ], [deploy]);
}

export function showBackups(root, context) {
  const take = (kind, label) => button(context, label, { title: label.replace(" …", ""), path: "/api/backup", text: "The database goes on meanwhile.", body: () => ({ kind }) });
  const verify = button(context, "Try a restore …", { title: "Restore the latest backup for trial", path: "/api/verify", text: "A backup that was never restored is none: it is restored beside, compared, and thrown away.", body: () => ({}) });
  return listing(root, "Backups", "/api/backups", (found) => {
    if (!found.declared) return [none(`${found.message}. ${found.hint}`)];
    const backups = [...(found.backups ?? [])].reverse();
    return [
      h("p", { class: "card" }, found.summary ?? found.message ?? "", found.job ? ` · ${found.job.message ?? found.job.state}` : ""),
      backups.length ? table("Backups that there are", ["backup", "taken", "kind", "size", "verified"], backups.map((one) => [
        one.name ?? one.label ?? "", one.at_s ? `${clockTime(one.at_s)} (${ago(one.at_s)})` : "", one.kind ?? "", bytes(one.bytes ?? one.size_bytes),
        one.verified_at_s ? `${ago(one.verified_at_s)}` : "not yet",
      ])) : none("There is no backup yet."),
    ];
  }, [take("", "Backup now …"), take("full", "Full backup …"), verify]);
}

const SCENARIOS = ["default", "replicas", "primary", "standbys", "controller", "links", "partition", "overload", "scaling", "rollout", "disk"];

export function showDrills(root, context) {
  const reader = h("div", { class: "reader" });
  async function open(run) {
    const { address, pass } = await read("/api/report", { run });
    reader.replaceChildren(h("iframe", { src: `${address}?pass=${encodeURIComponent(pass)}`, title: `Report of ${run}`, sandbox: true }));
    reader.scrollIntoView();
  }
  const start = button(context, "Run a drill …", { title: "Break a copy of the system under load", path: "/api/drill", text: "A copy is started beside the system, on this machine, and broken for some minutes. This system is not touched, but shares the processors.",
    fields: [{ name: "scenario", label: "Scenario", options: SCENARIOS }], body: ({ scenario }) => ({ scenario }) });
  const list = listing(root, "Drills", "/api/drills", ({ running, drills }) => [
    running && h("p", { class: "card" }, `The drill ${running} runs now: see its log.`),
    drills.length ? table("Drills that were", ["drill", "when", "verdict", "in a sentence", ""], drills.map((one) => [
      one.scenario, clockTime(one.began_at_s), h("span", { class: "worded" }, signFor({ valid: "well", invalid: "dead" }[one.verdict] ?? "leaving"), one.verdict),
      one.sentence, one.has_page ? h("button", { type: "button", onclick: () => open(one.run) }, "Report") : "",
    ])) : none("No drill was run yet."),
  ], [start]);
  root.append(reader);
  return list;
}

export function showPlan(root) {
  return listing(root, "Plan", "/api/plan", ({ calibration }) => (calibration ? [
    h("p", {}, `Measured ${calibration.at_s ? ago(calibration.at_s) : "earlier"} by `, h("code", {}, "colonnade plan --measure"), "."),
    planTable(calibration),
    h("p", { class: "soft" }, h("code", {}, "colonnade plan --rate 500 --slo p99=250ms"), " says what a load needs."),
  ] : [none("Nothing was measured yet: `colonnade plan --measure` does it, and tells how far off its own prediction is.")]));
}

/** The calibration as it is: names and numbers, nested ones below each other. */
function planTable(value, title = "What was measured") {
  const rows = Object.entries(flat(value)).map(([name, one]) => [name, typeof one === "number" ? (name.endsWith("_s") && one < 1000 ? milliseconds(one * 1000) : number(one, 3)) : String(one)]);
  return table(title, ["what", "value"], rows.slice(0, 400));
}

function flat(value, prefix = "") {
  return Object.fromEntries(Object.entries(value).flatMap(([name, one]) => (one !== null && typeof one === "object"
    ? Object.entries(flat(one, `${prefix}${name} › `)) : [[`${prefix}${name}`, one]])));
}
