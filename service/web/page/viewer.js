/** One hit, large, with its metadata, in a modal dialog over the grid. */

import { fillBar, ratioOf } from "./grid.js";
import * as messages from "./messages.js";
import { ownPath, showProgressively, stopLoading } from "./pictures.js";

const element = (name) => document.getElementById(name ? `viewer-${name}` : "viewer");

/** The dialog over a list of hits; calls `onFindSimilar(hit)` or `onClose(index)` when the user leaves it. */
export class Viewer {
  constructor({ onFindSimilar, onClose }) {
    this.hits = [];
    this.index = 0;
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

  /** Open the dialog with hit number `index` of `hits`. */
  open(hits, index) {
    this.hits = hits;
    this.leaving = false;
    this.#show(index);
    this.dialog.showModal();
  }

  /** Close it, if it is open. */
  close() {
    if (this.dialog.open) this.dialog.close();
  }

  /** Go `by` hits forward, or back if negative; do nothing at the end. */
  step(by) {
    if (this.hits[this.index + by]) this.#show(this.index + by);
  }

  #show(index) {
    this.index = index;
    const hit = this.hits[index];
    element("position").textContent = `${index + 1} of ${this.hits.length}`;
    // Not `disabled`: that would move the focus, and with it the arrow keys, out of the dialog.
    element("previous").setAttribute("aria-disabled", index === 0);
    element("next").setAttribute("aria-disabled", index === this.hits.length - 1);
    showMetadata(hit);
    showPicture(hit);
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
  element("match").textContent = hit.match.toFixed(2);
  fillBar(element("bar"), hit.match);
  element("similarity").textContent = hit.similarity.toFixed(3);
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
