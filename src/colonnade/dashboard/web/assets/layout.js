// Where everything in the picture goes. Pure: sizes in, places out; no element is touched here.
//
// Wide: visitors → gateway → services one below the other → database. Narrow: the same from top to bottom.

const GAP = 28;
const HEAD = 54;
const PAD = 14;
const NODE = 54;
export const NARROW = 720;

/** {width, height, boxes: Map of id to {x, y, width, height}, dots: Map of id to {x, y, size}} */
export function layOut(picture, width) {
  const groups = picture.parts.filter((part) => part.kind === "service");
  const replicas = Map.groupBy(picture.parts.filter((part) => part.kind === "replica"), (part) => part.parent);
  const nodes = picture.parts.filter((part) => part.kind === "node");
  const hasDatabase = picture.parts.some((part) => part.kind === "database");
  const isNarrow = width < NARROW;
  return (isNarrow ? narrow : wide)({ width, groups, replicas, nodes, hasDatabase });
}

function wide({ width, groups, replicas, nodes, hasDatabase }) {
  const places = emptyPlaces();
  const side = Math.max(116, Math.min(132, width * 0.13));
  const gap = Math.max(34, width * 0.045);
  const databaseWidth = hasDatabase ? Math.min(232, width * 0.23) : 0;
  const serviceX = 2 * side + 2 * gap;
  const serviceWidth = width - serviceX - (hasDatabase ? databaseWidth + gap : 0) - 2;
  let y = 8;
  for (const group of groups) {
    y += placeService(places, group, replicas.get(group.id) ?? [], serviceX, y, serviceWidth) + GAP;
  }
  const databaseHeight = HEAD + nodes.length * NODE + PAD;
  const height = Math.max(y - GAP + 8, hasDatabase ? databaseHeight + 16 : 0, 200);
  shift(places, (height - (y - GAP + 8)) / 2);
  places.boxes.set("visitors", { x: 2, y: height / 2 - 36, width: side, height: 72 });
  places.boxes.set("gateway", { x: side + gap, y: height / 2 - 36, width: side, height: 72 });
  if (hasDatabase) {
    placeDatabase(places, nodes, width - databaseWidth - 2, (height - databaseHeight) / 2, databaseWidth);
  }
  return { ...places, width, height, isNarrow: false };
}

function narrow({ width, groups, replicas, nodes, hasDatabase }) {
  const places = emptyPlaces();
  const middle = { x: width * 0.22, width: width * 0.56, height: 60 };
  places.boxes.set("visitors", { ...middle, y: 4 });
  places.boxes.set("gateway", { ...middle, y: 4 + 60 + GAP });
  let y = 4 + 2 * (60 + GAP);
  for (const group of groups) y += placeService(places, group, replicas.get(group.id) ?? [], 24, y, width - 40) + GAP;
  if (hasDatabase) y += placeDatabase(places, nodes, 24, y, width - 40) + GAP;
  return { ...places, width, height: y - GAP + 8, isNarrow: true };
}

const emptyPlaces = () => ({ boxes: new Map(), dots: new Map() });

function shift(places, down) {
  for (const place of [...places.boxes.values(), ...places.dots.values()]) place.y += down;
}

/** Many replicas become small ones: what counts then is how many are how, and where. */
export function cellFor(count) {
  if (count <= 6) return 74;
  if (count <= 12) return 62;
  if (count <= 24) return 46;
  return count <= 80 ? 28 : 21;
}

function placeService(places, group, replicas, x, y, width) {
  const cell = cellFor(replicas.length);
  const columns = Math.max(1, Math.floor((width - 2 * PAD) / cell));
  const rows = Math.max(1, Math.ceil(replicas.length / columns));
  replicas.forEach((replica, index) => places.dots.set(replica.id, {
    x: x + PAD + (index % columns + 0.5) * cell,
    y: y + HEAD + (Math.floor(index / columns) + 0.5) * cell - 4,
    size: cell,
  }));
  const height = HEAD + rows * cell + PAD - 4;
  places.boxes.set(group.id, { x, y, width, height });
  return height;
}

function placeDatabase(places, nodes, x, y, width) {
  nodes.forEach((node, index) => places.dots.set(node.id, { x: x + 42, y: y + HEAD + (index + 0.5) * NODE, size: NODE }));
  const height = HEAD + nodes.length * NODE + PAD;
  places.boxes.set("database", { x, y, width, height });
  return height;
}

/** How wide a line is drawn: ten times as much traffic is about as much wider each time. */
export const widthOf = (perS, isNarrow) => (perS ? Math.min(isNarrow ? 6 : 14, 2 + (isNarrow ? 1 : 3) * Math.log10(1 + perS)) : 1.5);

/** The path of a flow, from the edge of one box to the edge of another. */
export function pathOf(flow, places) {
  const from = places.boxes.get(flow.from), to = places.boxes.get(flow.to);
  if (!from || !to) return "";
  if (flow.kind === "uses") return places.isNarrow ? beside(from, to, 6) : beside(from, to, 18);
  if (places.isNarrow) {
    if (flow.from === "gateway") return trunk(from, to);
    if (flow.to === "database") return beside(from, to, 6);
    return `M${mid(from)} ${from.y + from.height}L${mid(to)} ${to.y}`;
  }
  const x1 = from.x + from.width, x2 = to.x;
  const y1 = from.y + Math.min(from.height / 2, from.height), y2 = to.y + to.height / 2;
  const bend = (x2 - x1) / 2;
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}

const mid = (box) => box.x + box.width / 2;

/** From one service to another below or above it, along the right. */
function beside(from, to, out) {
  const x = from.x + from.width, end = to.x + to.width;
  const isDown = to.y > from.y;
  const y1 = isDown ? from.y + from.height - 16 : from.y + 16, y2 = isDown ? to.y + 22 : to.y + to.height - 22;
  return `M${x} ${y1}C${x + out * 1.6} ${y1} ${x + out * 1.6} ${y2} ${end} ${y2}`;
}

/** On a narrow screen: down along the left edge, past the boxes in between. */
function trunk(from, to) {
  const y1 = from.y + from.height / 2, y2 = to.y + 24, x = 8;
  return `M${from.x} ${y1}H${x + 10}Q${x} ${y1} ${x} ${y1 + 10}V${y2 - 10}Q${x} ${y2} ${x + 10} ${y2}H${to.x}`;
}
