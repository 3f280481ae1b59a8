/** The query photo, large enough to drag a box around the area to search with. */

import * as messages from "./messages.js";
import { showProgressively, stopLoading } from "./pictures.js";

const element = (name) => document.getElementById(name ? `crop-${name}` : "crop");

// A shorter drag, in pixels, counts as a click.
const MIN_DRAG = 8;
const NUMBERS = ["left", "top", "width", "height"];

let shownFile = null;
let shownId = null;
let fileUrl = "";
let shownBox = "";
let dragStart = null;

/** Show the photo of `query` with its box, or hide the section if it has none. */
export function showCrop(query) {
  shownBox = query.box;
  const hasPhoto = query.photo !== null || Boolean(query.upload);
  element().hidden = !hasPhoto;
  if (query.upload !== shownFile) forgetFile();
  if (query.upload) showFile(query.upload);
  else if (query.photo !== shownId) showStored(query.photo);
  if (!hasPhoto) return;
  element("picture").alt = messages.queryPhoto(query);
  element("keep").hidden = !query.upload || Boolean(query.box);
  element("borders").checked = query.keepBorders;
  element("whole").hidden = !query.box;
  drawBox(parseBox(query.box));
  setHint(messages.crop(query, null));
}

/** Show which area `answer` was found with, and outline it if borders were cut off. */
export function showSearchedArea(answer, query) {
  setHint(messages.crop(query, answer));
  const { x, y, width, height } = answer.part ?? {};
  if (answer.part) drawBox([x, y, width, height], answer.borders_left_out);
}

/** Call `onBox(box)` with the area that the user selects ("" for all), `onKeepBorders(checked)` for the checkbox. */
export function listenToCrop({ onBox, onKeepBorders }) {
  const stage = element("stage");
  stage.addEventListener("pointerdown", startDrag);
  stage.addEventListener("pointermove", (event) => dragStart && drawBox(draggedBox(event)));
  stage.addEventListener("pointerup", (event) => endDrag(event, onBox));
  stage.addEventListener("pointercancel", cancelDrag);
  element("picture").addEventListener("error", onPictureError);
  element("picture").addEventListener("load", () => (stage.hidden = false));
  element("whole").addEventListener("click", () => {
    element("hint").focus();
    onBox("");
  });
  element("borders").addEventListener("change", (event) => onKeepBorders(event.target.checked));
  element("numbers").addEventListener("submit", (event) => {
    event.preventDefault();
    onBox(NUMBERS.map((name) => round(element(name).valueAsNumber / 100)).join(","));
  });
  document.addEventListener("keydown", (event) => onEscape(event, onBox));
}

function startDrag(event) {
  if (!event.isPrimary || event.button) return;
  event.preventDefault();
  element("stage").setPointerCapture(event.pointerId);
  dragStart = pointerPosition(event);
}

function endDrag(event, onBox) {
  if (!dragStart) return;
  const box = draggedBox(event);
  const { width, height } = element("stage").getBoundingClientRect();
  const isClick = box[2] * width < MIN_DRAG || box[3] * height < MIN_DRAG;
  if (isClick) return cancelDrag();
  dragStart = null;
  onBox(box.map(round).join(","));
}

function cancelDrag() {
  dragStart = null;
  drawBox(parseBox(shownBox));
}

function onEscape(event, onBox) {
  if (event.key !== "Escape" || element().hidden || document.querySelector("dialog[open]")) return;
  if (dragStart) cancelDrag();
  else if (shownBox && event.target.type !== "search") onBox("");
}

// In fractions of the photo; a drag may leave it, so they are clamped.
function pointerPosition(event) {
  const { left, top, width, height } = element("stage").getBoundingClientRect();
  const position = [(event.clientX - left) / width, (event.clientY - top) / height];
  return position.map((fraction) => Math.min(1, Math.max(0, fraction)));
}

function draggedBox(event) {
  const [x, y] = pointerPosition(event);
  return [Math.min(x, dragStart[0]), Math.min(y, dragStart[1]), Math.abs(x - dragStart[0]), Math.abs(y - dragStart[1])];
}

function drawBox(box, isAutomatic = false) {
  element("box").hidden = !box;
  element("box").classList.toggle("automatic", isAutomatic);
  const numbers = box ?? [0, 0, 1, 1];
  NUMBERS.forEach((name, index) => {
    element("box").style[name] = `${numbers[index] * 100}%`;
    element(name).value = Math.round(numbers[index] * 100);
  });
}

function parseBox(box) {
  const numbers = box.split(",").map(Number);
  return numbers.length === 4 && numbers.every(Number.isFinite) ? numbers : null;
}

function round(fraction) {
  return Number(fraction.toFixed(4));
}

// Screen readers announce each change of the text, also to the same text.
function setHint(text) {
  if (element("hint").textContent !== text) element("hint").textContent = text;
}

function onPictureError() {
  element("stage").hidden = true;
  setHint(messages.cannotDisplay);
}

function showFile(file) {
  if (file === shownFile) return;
  stopLoading(element("picture"));
  shownFile = file;
  shownId = null;
  fileUrl = URL.createObjectURL(file);
  element("picture").src = fileUrl;
}

function forgetFile() {
  if (fileUrl) URL.revokeObjectURL(fileUrl);
  shownFile = null;
  fileUrl = "";
}

function showStored(id) {
  shownId = id;
  const addresses = id === null ? [] : [`/photos/${id}/thumbnail?size=large`, `/photos/${id}/image`];
  showProgressively(element("picture"), addresses);
}
