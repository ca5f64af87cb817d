// What can be asked for, part by part, and the dialog that asks whether it is meant.

import { send } from "./api.js";
import { byId, h, say } from "./dom.js";

/** Buttons for a part; none for who may only look. */
export function actionsFor(part, context) {
  if (context.role !== "operator") return [];
  return (OFFERED[part.kind]?.(part, context) ?? []).map(({ label, ...question }) =>
    h("button", { type: "button", onclick: () => confirmAndSend(question) }, label));
}

const OFFERED = {
  service: (part) => [
    { label: "Scale …", title: `Scale ${part.label}`, path: "/api/scale", text: `${part.label} has ${part.desired} replicas. Replicas that go finish what they have.`,
      fields: [{ name: "replicas", label: "Replicas", type: "number", value: part.desired, min: 0, max: 1000 }],
      body: ({ replicas }) => ({ service: part.label, replicas: Number(replicas) }) },
    ...(part.scaling?.mode !== "pinned" ? [] : [
      { label: "Scale by load", title: `Let the load scale ${part.label}`, path: "/api/scale", text: "The number that was given by hand no longer holds.", body: () => ({ service: part.label, replicas: "auto" }) }]),
    { label: "Restart all …", title: `Restart all of ${part.label}`, path: "/api/restart", text: "One replica after the other is replaced by a new process. Nothing is lost.", body: () => ({ id: part.label }) },
  ],
  replica: (part) => [
    { label: "Restart …", title: `Restart ${part.label}`, path: "/api/restart", text: "A new process takes its place; the old one finishes what it has.", body: () => ({ id: part.id }) },
    ...(part.health !== "held" && part.state !== "ready" ? [] : [part.health === "held"
      ? { label: "Give back", title: `Give ${part.label} back`, path: "/api/undrain", text: "It gets requests again.", body: () => ({ id: part.id }) }
      : { label: "Drain …", title: `Drain ${part.label}`, path: "/api/drain", text: "It finishes what it has and gets nothing more, until it is given back or restarted.", body: () => ({ id: part.id }) }]),
  ],
  node: (part) => (part.state !== "standby" ? [] : [
    { label: "Make it the primary …", title: `Switch over to ${part.label}`, path: "/api/switchover", text: "Writers wait for a moment and nothing is lost: the present primary becomes a standby.", body: () => ({ to: part.label }) },
  ]),
  database: (part, context) => [
    { label: "Switch over …", title: "Switch over to the best standby", path: "/api/switchover", text: "Writers wait for a moment and nothing is lost: the present primary becomes a standby.", body: () => ({ to: "" }) },
    { label: "Backup now", title: "Take a backup", path: "/api/backup", text: "Incremental where that is possible.", body: () => ({ kind: "" }), then: () => context.go("#/backups") },
  ],
};

/** Ask, send, say what came of it. `question`: {title, text, path, body(values), fields?, then?}. */
export function confirmAndSend(question) {
  const dialog = byId("dialog");
  const opener = document.activeElement;
  const told = h("p", { class: "refusal", role: "alert" });
  const send_ = h("button", { type: "submit", class: "primary" }, "Do it");
  const fields = (question.fields ?? []).map((field) => fieldOf(field));
  const form = h("form", { method: "dialog" },
    h("h2", { id: "dialog-title" }, question.title), h("p", {}, question.text), fields.map((field) => field.row), told,
    h("div", { class: "actions" }, h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), send_));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send_.disabled = true;
    say(told, "");
    try {
      const values = Object.fromEntries(fields.map((field) => [field.name, field.input.value]));
      const answer = await send(question.path, question.body(values));
      dialog.close();
      say(byId("told"), answer.message ?? `${question.title}: begun`);
      question.then?.(answer);
    } catch (error) {
      say(told, `${error.subject ? `${error.subject}: ` : ""}${error.message}. ${error.hint ?? ""}`);
      send_.disabled = false;
    }
  });
  dialog.replaceChildren(form);
  dialog.addEventListener("close", () => opener?.isConnected && opener.focus(), { once: true });
  dialog.showModal();
}

function fieldOf({ name, label, options, ...attributes }) {
  const id = `field-${name}`;
  const input = options
    ? h("select", { id, name }, options.map((option) => h("option", { value: option }, option)))
    : h("input", { id, name, required: true, ...attributes });
  return { name, input, row: h("p", { class: "field" }, h("label", { for: id }, label), input) };
}
