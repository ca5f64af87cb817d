// The way in: a token that somebody types, or the one-time code in the address that `colonnade dashboard` prints.

import { logIn } from "./api.js";
import { h, say } from "./dom.js";

/** The code behind `#code=`, taken out of the address at once: it is in no history. */
export function takeCode() {
  const given = new URLSearchParams(location.hash.slice(1));
  const code = given.get("code") ?? "";
  if (code) history.replaceState(null, "", `${location.pathname}#/${given.get("view") ?? ""}`);
  return code;
}

/** Resolves to a role. */
export async function enter(root, code) {
  let trouble = "";
  if (code) {
    try {
      return await logIn({ code });
    } catch (error) {
      trouble = `${error.message}. ${error.hint}`;
    }
  }
  return new Promise((resolve) => {
    const token = h("input", { id: "token", name: "token", type: "password", autocomplete: "off", required: true, spellcheck: "false" });
    const told = h("p", { class: "refusal", role: "alert" }, trouble);
    const form = h("form", { class: "card login" }, h("h1", {}, "Colonnade"),
      h("p", {}, h("code", {}, "colonnade dashboard"), " prints an address that logs you in, and the token."),
      h("p", { class: "field" }, h("label", { for: "token" }, "Token"), token), told,
      h("button", { type: "submit", class: "primary" }, "Log in"));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        const role = await logIn({ token: token.value.trim() });
        token.value = "";
        resolve(role);
      } catch (error) {
        say(told, `${error.message}. ${error.hint ?? ""}`);
        token.select();
      }
    });
    root.replaceChildren(form);
    token.focus();
  });
}
