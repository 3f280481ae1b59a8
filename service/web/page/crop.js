/** The photograph that is searched with, large enough to drag a box over the part that should count. */

import * as messages from "./messages.js";

const part = (name) => document.getElementById(name ? `part-${name}` : "part");

// What is dragged by fewer pixels than these was meant as a click.
const SMALLEST_DRAG = 8;
const NUMBERS = ["left", "top", "width", "height"];

let shownFile = null;
let shownId = null;
let fileAddress = "";
let drawn = "";
let drag = null;

/** Show the photograph of `query` with its box, or nothing when it has none. */
export function showPart(query) {
  drawn = query.box;
  const has = query.photo !== null || Boolean(query.upload);
  part().hidden = !has;
  if (query.upload !== shownFile) forgetFile();
  if (query.upload) showFile(query.upload);
  else if (query.photo !== shownId) showStored(query.photo);
  if (!has) return;
  part("picture").alt = messages.picture(query);
  part("keep").hidden = !query.upload || Boolean(query.box);
  part("borders").checked = query.keepBorders;
  part("whole").hidden = !query.box;
  outline(fractionsOf(query.box));
  tell(messages.part(query, null));
}

/** Say what `answer` was searched with, and show where the borders are that were left out. */
export function tellPart(answer, query) {
  tell(messages.part(query, answer));
  const { x, y, width, height } = answer.part ?? {};
  if (answer.part) outline([x, y, width, height], answer.borders_left_out);
}

/** Call `choose(box)` with the part that the person draws ("" for all), `keep(whether)` with what to do with borders. */
export function listenToPart({ choose, keep }) {
  const stage = part("stage");
  stage.addEventListener("pointerdown", begin);
  stage.addEventListener("pointermove", (event) => drag && outline(boxOf(event)));
  stage.addEventListener("pointerup", (event) => end(event, choose));
  stage.addEventListener("pointercancel", cancel);
  part("picture").addEventListener("error", onUndrawable);
  part("picture").addEventListener("load", () => (stage.hidden = false));
  part("whole").addEventListener("click", () => {
    part("told").focus();
    choose("");
  });
  part("borders").addEventListener("change", (event) => keep(event.target.checked));
  part("numbers").addEventListener("submit", (event) => {
    event.preventDefault();
    choose(NUMBERS.map((name) => round(part(name).valueAsNumber / 100)).join(","));
  });
  document.addEventListener("keydown", (event) => onEscape(event, choose));
}

function begin(event) {
  if (!event.isPrimary || event.button) return;
  event.preventDefault();
  part("stage").setPointerCapture(event.pointerId);
  drag = placeOf(event);
}

function end(event, choose) {
  if (!drag) return;
  const box = boxOf(event);
  const { width, height } = part("stage").getBoundingClientRect();
  const isClick = box[2] * width < SMALLEST_DRAG || box[3] * height < SMALLEST_DRAG;
  if (isClick) return cancel();
  drag = null;
  choose(box.map(round).join(","));
}

function cancel() {
  drag = null;
  outline(fractionsOf(drawn));
}

function onEscape(event, choose) {
  if (event.key !== "Escape" || part().hidden || document.querySelector("dialog[open]")) return;
  if (drag) cancel();
  else if (drawn && event.target.type !== "search") choose("");
}

// Where the pointer is, in fractions of the photograph; a drag may leave it.
function placeOf(event) {
  const { left, top, width, height } = part("stage").getBoundingClientRect();
  return [(event.clientX - left) / width, (event.clientY - top) / height].map((place) => Math.min(1, Math.max(0, place)));
}

function boxOf(event) {
  const [x, y] = placeOf(event);
  return [Math.min(x, drag[0]), Math.min(y, drag[1]), Math.abs(x - drag[0]), Math.abs(y - drag[1])];
}

function outline(box, isFound = false) {
  part("box").hidden = !box;
  part("box").classList.toggle("found", isFound);
  const shown = box ?? [0, 0, 1, 1];
  NUMBERS.forEach((name, index) => {
    part("box").style[name] = `${shown[index] * 100}%`;
    part(name).value = Math.round(shown[index] * 100);
  });
}

function fractionsOf(box) {
  const numbers = box.split(",").map(Number);
  return numbers.length === 4 && numbers.every(Number.isFinite) ? numbers : null;
}

function round(fraction) {
  return Number(fraction.toFixed(4));
}

function tell(sentence) {
  if (part("told").textContent !== sentence) part("told").textContent = sentence;
}

function onUndrawable() {
  part("stage").hidden = true;
  tell(messages.undrawable);
}

function showFile(file) {
  if (file === shownFile) return;
  shownFile = file;
  shownId = null;
  fileAddress = URL.createObjectURL(file);
  part("picture").src = fileAddress;
}

function forgetFile() {
  if (fileAddress) URL.revokeObjectURL(fileAddress);
  shownFile = null;
  fileAddress = "";
}

// The thumbnail is there at once; the photograph takes its place when it has come.
function showStored(id) {
  shownId = id;
  if (id === null) return part("picture").removeAttribute("src");
  part("picture").src = `/photos/${id}/thumbnail`;
  const full = new Image();
  full.addEventListener("load", () => shownId === id && (part("picture").src = full.src));
  full.src = `/photos/${id}/image`;
}
