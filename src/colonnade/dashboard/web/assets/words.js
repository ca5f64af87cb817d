// Numbers and times as people read them.

export const LEVELS = { well: "All is well", notice: "Notice", trouble: "Trouble", outage: "Outage", unknown: "Unknown" };

export const HEALTHS = {
  well: "well", coming: "starting", leaving: "leaving", held: "held back", sick: "sick", dead: "dead",
};

export const KINDS = {
  visitors: "visitors", gateway: "gateway", service: "service", replica: "replica", database: "database",
  node: "database node", controller: "controller",
};

export function number(value, digits = 0) {
  return value === null || value === undefined ? "–" : value.toLocaleString("en", { maximumFractionDigits: digits });
}

export function perSecond(value) {
  if (value === null || value === undefined) return "–";
  return `${number(value, value < 10 ? 1 : 0)}/s`;
}

export function milliseconds(value) {
  if (value === null || value === undefined) return "–";
  return value >= 1000 ? `${number(value / 1000, 1)} s` : `${number(value, value < 10 ? 1 : 0)} ms`;
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = value, unit = 0;
  while (size >= 1000 && unit < units.length - 1) { size /= 1000; unit += 1; }
  return `${number(size, size < 10 && unit > 0 ? 1 : 0)} ${units[unit]}`;
}

export function percent(share) {
  return share === null || share === undefined ? "–" : `${number(share * 100, share < 0.1 ? 1 : 0)} %`;
}

export function clockTime(atS) {
  const at = new Date(atS * 1000);
  const isToday = at.toDateString() === new Date().toDateString();
  const time = at.toLocaleTimeString("en-GB");
  return isToday ? time : `${at.toLocaleDateString("en-CA")} ${time}`;
}

export function ago(atS, nowS = Date.now() / 1000) {
  const past = Math.max(0, nowS - atS);
  if (past < 60) return `${Math.round(past)} s ago`;
  if (past < 3600) return `${Math.round(past / 60)} min ago`;
  if (past < 86400) return `${Math.round(past / 3600)} h ago`;
  return `${Math.round(past / 86400)} days ago`;
}

export function plural(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}
