/** The grid of hits: tiles in the photographs' own proportions, keyboard moves, skeletons. */

// A panorama or a scroll keeps its proportions inside the tile; the tile itself stays large enough to hit.
const NARROWEST = 0.45;
const WIDEST = 4;

const SKELETON_RATIOS = [1.5, 0.75, 1.5, 1.33, 1, 1.5, 0.67, 1.78, 1.33, 1.5, 0.75, 1.5];

/** Width over height of a hit's photograph; 1 where the service does not know. */
export function ratioOf(hit) {
  return hit.width > 0 && hit.height > 0 ? hit.width / hit.height : 1;
}

/** An address of this service or nothing: a link from elsewhere is not followed. */
export function ownAddress(link) {
  const address = new URL(link ?? "", location.origin);
  return address.origin === location.origin ? address.pathname + address.search : "";
}

/** Show the hits in `list`; tiles of photographs that are already shown stay, so that nothing flashes. */
export function showHits(list, hits, open) {
  const known = new Map([...list.querySelectorAll("li[data-id]")].map((tile) => [tile.dataset.id, tile]));
  const tiles = hits.map((hit, index) => {
    const tile = known.get(String(hit.id)) ?? newTile(hit);
    tile.querySelector("button").onclick = () => open(index);
    setMatch(tile, hit.match);
    return tile;
  });
  list.replaceChildren(...tiles);
}

/** Show as many empty tiles as will probably come. */
export function showSkeleton(list, count) {
  const tiles = Array.from({ length: Math.min(count, SKELETON_RATIOS.length) }, (_, index) => {
    const tile = element("li", "tile skeleton");
    tile.setAttribute("aria-hidden", "true");
    setRatio(tile, SKELETON_RATIOS[index]);
    tile.append(element("span", "frame"), element("span", "bar"), element("span", "caption"));
    return tile;
  });
  list.replaceChildren(...tiles);
}

/** Put the focus on the tile of hit number `index`. */
export function focusHit(list, index) {
  list.children[index]?.querySelector("button")?.focus();
}

/** Let the arrow keys, Home and End move between the tiles of `list`. */
export function listenToKeys(list) {
  list.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const buttons = [...list.querySelectorAll("button")];
    const from = buttons.indexOf(document.activeElement);
    const to = from < 0 ? undefined : target(event.key, buttons, from);
    if (!to) return;
    event.preventDefault();
    to.focus();
  });
}

/** Draw a match as a bar from 0 to 1. */
export function fillBar(bar, match) {
  bar.style.setProperty("--match", Math.min(1, Math.max(0, match)).toFixed(3));
}

function target(key, buttons, from) {
  if (key === "ArrowRight") return buttons[from + 1];
  if (key === "ArrowLeft") return buttons[from - 1];
  if (key === "Home") return buttons[0];
  if (key === "End") return buttons.at(-1);
  if (key === "ArrowDown") return nearestInRow(buttons, from, 1);
  if (key === "ArrowUp") return nearestInRow(buttons, from, -1);
  return undefined;
}

// Rows have no elements of their own, so the row below begins at the first tile whose top differs.
function nearestInRow(buttons, from, direction) {
  const top = (button) => Math.round(button.getBoundingClientRect().top);
  const middle = (button) => button.getBoundingClientRect().left + button.offsetWidth / 2;
  const start = top(buttons[from]);
  const beyond = buttons.filter((button) => (top(button) - start) * direction > 1);
  const rows = beyond.map(top);
  const row = direction > 0 ? Math.min(...rows) : Math.max(...rows);
  const distance = (button) => Math.abs(middle(button) - middle(buttons[from]));
  return beyond.filter((button) => top(button) === row).sort((one, other) => distance(one) - distance(other))[0];
}

function newTile(hit) {
  const tile = element("li", "tile");
  tile.dataset.id = hit.id;
  setRatio(tile, ratioOf(hit));
  const button = element("button", "hit");
  button.type = "button";
  button.append(frameOf(hit), element("span", "bar"), captionOf(hit));
  tile.append(button);
  return tile;
}

function frameOf(hit) {
  const frame = element("span", "frame");
  const picture = element("img");
  picture.alt = "";
  picture.decoding = "async";
  picture.loading = "lazy";
  picture.draggable = false;
  picture.addEventListener("load", () => frame.classList.add("loaded"));
  picture.addEventListener("error", () => frame.classList.add("broken"));
  picture.src = ownAddress(hit.links.thumbnail);
  frame.append(picture);
  return frame;
}

function captionOf(hit) {
  const caption = element("span", "caption");
  const name = element("span", "name", hit.name);
  name.title = hit.name;
  caption.append(name, element("span", "unseen", ", match "), element("span", "match"));
  return caption;
}

function setMatch(tile, match) {
  tile.querySelector(".match").textContent = match.toFixed(2);
  fillBar(tile.querySelector(".bar"), match);
}

function setRatio(tile, ratio) {
  tile.style.setProperty("--ratio", Math.min(WIDEST, Math.max(NARROWEST, ratio)).toFixed(4));
}

function element(name, className = "", text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}
