/** One photograph, large, with its facts: a modal dialog over the grid. */

import { fillBar, ownAddress, ratioOf } from "./grid.js";

const part = (name) => document.getElementById(name ? `viewer-${name}` : "viewer");

/** The dialog over a list of hits; `findLike(hit)` and `closed(index)` are told what the person does. */
export class Viewer {
  constructor({ findLike, closed }) {
    this.hits = [];
    this.index = 0;
    this.leaving = false;
    this.dialog = part();
    part("previous").addEventListener("click", () => this.step(-1));
    part("next").addEventListener("click", () => this.step(1));
    part("close").addEventListener("click", () => this.dialog.close());
    part("like").addEventListener("click", () => this.#leaveFor(findLike));
    this.dialog.addEventListener("keydown", (event) => this.#onKey(event));
    this.dialog.addEventListener("click", (event) => this.#onBackground(event));
    this.dialog.addEventListener("close", () => {
      if (!this.leaving) closed(this.index);
    });
  }

  /** Open the dialog on hit number `index` of `hits`. */
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

  /** Go to the neighbour, if there is one. */
  step(by) {
    if (this.hits[this.index + by]) this.#show(this.index + by);
  }

  #show(index) {
    this.index = index;
    const hit = this.hits[index];
    part("place").textContent = `${index + 1} of ${this.hits.length}`;
    // Not `disabled`: that would throw the focus, and with it the arrow keys, out of the dialog.
    part("previous").setAttribute("aria-disabled", index === 0);
    part("next").setAttribute("aria-disabled", index === this.hits.length - 1);
    showFacts(hit);
    showPicture(hit, () => this.hits[this.index] === hit);
  }

  #leaveFor(findLike) {
    const hit = this.hits[this.index];
    this.leaving = true;
    this.dialog.close();
    findLike(hit);
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

function showFacts(hit) {
  part("name").textContent = hit.name;
  part("match").textContent = hit.match.toFixed(2);
  fillBar(part("bar"), hit.match);
  part("similarity").textContent = hit.similarity.toFixed(3);
  part("size").textContent = `${hit.width} × ${hit.height}`;
  part("format").textContent = hit.format;
  part("uri").textContent = hit.uri;
  part("original").href = ownAddress(hit.links.image);
}

// The thumbnail stands in at once and at the final size; the full photograph takes its place when it is there.
function showPicture(hit, stillShown) {
  const picture = part("picture");
  picture.style.setProperty("--ratio", ratioOf(hit).toFixed(4));
  picture.style.setProperty("--width", hit.width);
  picture.alt = hit.name;
  picture.src = ownAddress(hit.links.thumbnail);
  part("trouble").hidden = true;
  const full = new Image();
  full.addEventListener("load", () => stillShown() && (picture.src = full.src));
  full.addEventListener("error", () => stillShown() && tellTrouble(hit));
  full.src = ownAddress(hit.links.image);
}

function tellTrouble(hit) {
  part("trouble").textContent = `The full photograph cannot be shown here (${hit.format}); this is its preview.`;
  part("trouble").hidden = false;
}
