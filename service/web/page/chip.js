/** The photograph that is searched with, small, beside the box. */

import { photograph } from "./api.js";

const part = (name) => document.getElementById(name ? `chip-${name}` : "chip");

let shownFile = null;
let fileAddress = "";

/** Show the photograph of `query`, or nothing when it has none. */
export function showChip(query) {
  const has = query.photo !== null || Boolean(query.uploadName);
  part().hidden = !has;
  part("picture").hidden = false;
  if (query.upload) showFile(query.upload);
  else if (query.photo !== null) showStored(query.photo);
  else part("picture").hidden = true;
  if (query.uploadName) part("name").textContent = query.uploadName;
  if (query.upload !== shownFile) forgetFile();
}

/** Call `removed` when the person takes the photograph away. */
export function listenToChip(removed) {
  part("remove").addEventListener("click", removed);
  // A format that the browser cannot draw is still searched with; its name is enough then.
  part("picture").addEventListener("error", () => (part("picture").hidden = true));
}

function showFile(file) {
  if (file !== shownFile) {
    forgetFile();
    shownFile = file;
    fileAddress = URL.createObjectURL(file);
  }
  part("picture").src = fileAddress;
}

function forgetFile() {
  if (fileAddress) URL.revokeObjectURL(fileAddress);
  shownFile = null;
  fileAddress = "";
}

async function showStored(id) {
  part("picture").src = `/photos/${id}/thumbnail`;
  part("name").textContent = `Photograph ${id}`;
  const facts = await photograph(id).catch(() => null);
  const stillShown = part("picture").getAttribute("src") === `/photos/${id}/thumbnail`;
  if (facts?.name && stillShown) part("name").textContent = facts.name;
}
