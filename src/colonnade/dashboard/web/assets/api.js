// Asking the dashboard. The proof that this page has goes into a header of each request: the cookie alone is worth nothing.

const PROOF = "colonnade-proof";
const HEADER = "X-Colonnade-Proof";

export class Refused extends Error {
  constructor(status, answer) {
    super(answer.error ?? `refused (${status})`);
    this.status = status;
    this.hint = answer.hint ?? "";
    this.subject = answer.subject ?? "";
  }
}

export const hasProof = () => Boolean(localStorage.getItem(PROOF));

export async function logIn(secret) {
  const { role, proof } = await ask("POST", "/api/login", secret);
  localStorage.setItem(PROOF, proof);
  return role;
}

export async function logOut() {
  try {
    await ask("POST", "/api/logout", {});
  } finally {
    localStorage.removeItem(PROOF);
  }
}

export const read = (path, query = {}) => {
  const chosen = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const text = new URLSearchParams(chosen).toString();
  return ask("GET", text ? `${path}?${text}` : path);
};

export const send = (path, body) => ask("POST", path, body);

async function ask(method, path, body) {
  const answer = await fetch(path, options(method, body));
  const value = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, value);
  return value;
}

/** One JSON value for each line, for as long as the answer lasts. */
export async function* lines(path, signal) {
  const answer = await fetch(path, { ...options("GET"), signal });
  if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => ({})));
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (rest + value).split("\n");
    rest = whole.pop();
    for (const line of whole) if (line) yield JSON.parse(line);
  }
}

function options(method, body) {
  const headers = { [HEADER]: localStorage.getItem(PROOF) ?? "" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store" };
}
