// Making elements, and nothing else. There is no innerHTML anywhere: what the system says is text, never markup.

const SVG = "http://www.w3.org/2000/svg";

export const h = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);

export const s = (name, attributes = {}, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) set(element, key, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Functions become listeners, true an empty attribute, false and null none. */
export function set(element, key, value) {
  if (typeof value === "function") element.addEventListener(key.replace(/^on/, ""), value);
  else if (value === false || value === null || value === undefined) element.removeAttribute(key);
  else if (value === true) element.setAttribute(key, "");
  else if (element.getAttribute(key) !== String(value)) element.setAttribute(key, value);
}

/** Text that changes only when it differs: a screen reader is told of nothing else. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const byId = (id) => document.getElementById(id);

/** A table: `columns` are headings, `rows` lists of cells. */
export function table(caption, columns, rows) {
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, rows.map(([first, ...rest]) =>
        h("tr", {}, h("th", { scope: "row" }, first), rest.map((cell) => h("td", {}, cell)))))));
}
