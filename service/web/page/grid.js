/** The grid of hits: tiles in the proportions of the photos, keyboard navigation, skeletons. */

import * as messages from "./messages.js";
import { showThumbnail } from "./pictures.js";

// Photos beyond these ratios are letterboxed, so that every tile is large enough to click.
const MIN_RATIO = 0.45;
const MAX_RATIO = 4;

const SKELETON_RATIOS = [1.5, 0.75, 1.5, 1.33, 1, 1.5, 0.67, 1.78, 1.33, 1.5, 0.75, 1.5];

/** Width over height of a hit; 1 if the service does not know them. */
export function ratioOf(hit) {
  return hit.width > 0 && hit.height > 0 ? hit.width / hit.height : 1;
}

/**
 * Show `hits` in `list` and call `onOpen(index)` on a click; with `byDay` under headings of days.
 * Tiles that are already there are kept, so that nothing flashes.
 */
export function showHits(list, hits, { onOpen, byDay = false }) {
  const existing = new Map([...list.querySelectorAll("li[data-id]")].map((tile) => [tile.dataset.id, tile]));
  list.classList.toggle("by-day", byDay);
  list.replaceChildren(...itemsFor(hits, 0, { onOpen, byDay, existing }));
}

/** Add to `list` those of `hits` from number `start` on, after the others are shown. */
export function addHits(list, hits, start, { onOpen, byDay = false }) {
  list.append(...itemsFor(hits, start, { onOpen, byDay, existing: new Map() }));
}

/** Show empty tiles while a search for `count` hits is running. */
export function showSkeleton(list, count) {
  const tiles = Array.from({ length: Math.min(count, SKELETON_RATIOS.length) }, (_, index) => {
    const tile = newElement("li", "tile skeleton");
    tile.setAttribute("aria-hidden", "true");
    setRatio(tile, SKELETON_RATIOS[index]);
    tile.append(newElement("span", "frame"), newElement("span", "bar"), newElement("span", "caption"));
    return tile;
  });
  list.replaceChildren(...tiles);
}

/** Focus the tile of hit number `index`. */
export function focusHit(list, index) {
  list.querySelectorAll("button")[index]?.focus();
}

/** Move the focus between the tiles of `list` with the arrow keys, Home and End. */
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

/** Show a match from 0 to 1 as a bar. */
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

// Rows are not elements; tiles of the next row are those with the next different top.
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

function itemsFor(hits, start, { onOpen, byDay, existing }) {
  return hits.slice(start).flatMap((hit, offset) => {
    const index = start + offset;
    const tile = existing.get(String(hit.id)) ?? newTile(hit);
    tile.querySelector("button").onclick = () => onOpen(index);
    setMatch(tile, hit.match);
    const isNewDay = byDay && (index === 0 || dayOf(hit) !== dayOf(hits[index - 1]));
    return isNewDay ? [...headingOf(hit, index), tile] : [tile];
  });
}

function dayOf(hit) {
  return hit.taken_at?.slice(0, 10) ?? "";
}

// A space before the heading keeps the tiles of the last row of a day in their size.
function headingOf(hit, index) {
  const space = newElement("li", "space");
  space.setAttribute("aria-hidden", "true");
  const heading = newElement("li", "day");
  heading.append(newElement("h2", "", messages.day(hit.taken_at)));
  return index ? [space, heading] : [heading];
}

function newTile(hit) {
  const tile = newElement("li", "tile");
  tile.dataset.id = hit.id;
  setRatio(tile, ratioOf(hit));
  const button = newElement("button", "hit");
  button.type = "button";
  button.append(frameOf(hit), newElement("span", "bar"), captionOf(hit));
  tile.append(button);
  return tile;
}

function frameOf(hit) {
  const frame = newElement("span", "frame");
  const picture = newElement("img");
  picture.alt = "";
  picture.decoding = "async";
  picture.loading = "lazy";
  picture.draggable = false;
  picture.addEventListener("load", () => frame.classList.add("loaded"));
  picture.addEventListener("error", () => frame.classList.add("broken"));
  // About the width of a tile in a row that is full; see `--row` in the style sheet.
  showThumbnail(picture, hit, `calc(${clampedRatio(ratioOf(hit))} * clamp(200px, 19vw, 300px) * 1.2)`);
  frame.append(picture);
  return frame;
}

function captionOf(hit) {
  const caption = newElement("span", "caption");
  const name = newElement("span", "name", hit.name);
  name.title = hit.name;
  caption.append(name, newElement("span", "match-label visually-hidden", ", match "), newElement("span", "match"));
  return caption;
}

// Photos that are shown by date only have no match.
function setMatch(tile, match) {
  const hasMatch = match !== null;
  tile.classList.toggle("plain", !hasMatch);
  for (const part of tile.querySelectorAll(".bar, .match, .match-label")) part.hidden = !hasMatch;
  if (!hasMatch) return;
  tile.querySelector(".match").textContent = match.toFixed(2);
  fillBar(tile.querySelector(".bar"), match);
}

function setRatio(tile, ratio) {
  tile.style.setProperty("--ratio", clampedRatio(ratio));
}

function clampedRatio(ratio) {
  return Math.min(MAX_RATIO, Math.max(MIN_RATIO, ratio)).toFixed(4);
}

function newElement(name, className = "", text = "") {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}
