/** One hit, large, with its metadata, in a modal dialog over the grid. */

import { fillBar, ratioOf } from "./grid.js";
import * as messages from "./messages.js";
import { ownPath, showProgressively, stopLoading } from "./pictures.js";

const element = (name) => document.getElementById(name ? `viewer-${name}` : "viewer");

// So many hits before the last one, more are asked for.
const HITS_AHEAD = 5;

/**
 * The dialog over a list of hits; calls `onFindSimilar(hit)` or `onClose(index)` when the user leaves it, and
 * `onNearEnd()` when more hits should be loaded.
 */
export class Viewer {
  constructor({ onFindSimilar, onClose, onNearEnd }) {
    this.hits = [];
    this.total = 0;
    this.index = 0;
    this.wanted = null;
    this.onNearEnd = onNearEnd;
    this.leaving = false;
    this.dialog = element();
    element("previous").addEventListener("click", () => this.step(-1));
    element("next").addEventListener("click", () => this.step(1));
    element("close").addEventListener("click", () => this.dialog.close());
    element("similar").addEventListener("click", () => this.#leaveFor(onFindSimilar));
    this.dialog.addEventListener("keydown", (event) => this.#onKey(event));
    this.dialog.addEventListener("click", (event) => this.#onBackground(event));
    this.dialog.addEventListener("close", () => {
      stopLoading(element("picture"));
      if (!this.leaving) onClose(this.index);
    });
  }

  /** Open the dialog with hit number `index` of `hits`, which are the first of `total`. */
  open(hits, index, total) {
    this.hits = hits;
    this.total = total;
    this.leaving = false;
    this.#show(index);
    this.dialog.showModal();
  }

  /** Go on with `hits`, of `total`, if they are the same ones and more, and not those of a later query. */
  extend(hits, total) {
    if (!this.dialog.open || hits[0] !== this.hits[0]) return;
    this.hits = hits;
    this.total = total;
    this.#showPosition();
    if (hits[this.wanted]) this.#show(this.wanted);
  }

  /** Close it, if it is open. */
  close() {
    if (this.dialog.open) this.dialog.close();
  }

  /** Go `by` hits forward, or back if negative; do nothing at the end. */
  step(by) {
    const index = this.index + by;
    if (this.hits[index]) return this.#show(index);
    if (index < 0 || index >= this.total) return;
    // It is shown when it has been loaded.
    this.wanted = index;
    this.onNearEnd();
  }

  #show(index) {
    this.index = index;
    this.wanted = null;
    this.#showPosition();
    showMetadata(this.hits[index]);
    showPicture(this.hits[index]);
    if (index + HITS_AHEAD >= this.hits.length) this.onNearEnd();
  }

  #showPosition() {
    element("position").textContent = messages.position(this.index, this.total);
    // Not `disabled`: that would move the focus, and with it the arrow keys, out of the dialog.
    element("previous").setAttribute("aria-disabled", this.index === 0);
    element("next").setAttribute("aria-disabled", this.index === this.total - 1);
  }

  #leaveFor(onFindSimilar) {
    const hit = this.hits[this.index];
    this.leaving = true;
    this.dialog.close();
    onFindSimilar(hit);
  }

  #onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    this.step(by);
  }

  #onBackground(event) {
    if (event.target === this.dialog || event.target.classList.contains("stage")) this.dialog.close();
  }
}

function showMetadata(hit) {
  element("name").textContent = hit.name;
  element("match-row").hidden = element("similarity-row").hidden = hit.match === null;
  element("match").textContent = hit.match?.toFixed(2) ?? "";
  fillBar(element("bar"), hit.match ?? 0);
  element("similarity").textContent = hit.similarity?.toFixed(3) ?? "";
  for (const [name, text] of Object.entries(messages.metadata(hit))) {
    element(name).textContent = text;
    element(name).parentElement.hidden = !text;
  }
  element("size").textContent = `${hit.width} × ${hit.height}`;
  element("format").textContent = hit.format;
  element("uri").textContent = hit.uri;
  element("original").href = ownPath(hit.links.image);
}

// The thumbnail is in the grid, so it appears at once, in the final size.
function showPicture(hit) {
  const picture = element("picture");
  picture.style.setProperty("--ratio", ratioOf(hit).toFixed(4));
  picture.style.setProperty("--width", hit.width);
  picture.alt = hit.name;
  element("error").hidden = true;
  const { thumbnail, preview, image } = hit.links;
  showProgressively(picture, [thumbnail, preview, image].map(ownPath), () => showError(hit));
}

function showError(hit) {
  element("error").textContent = `This browser cannot display the original (${hit.format}); this is a preview.`;
  element("error").hidden = false;
}
