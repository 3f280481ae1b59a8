/** The small preview of the query photo in the search box. */

import { photograph } from "./api.js";

const element = (name) => document.getElementById(name ? `chip-${name}` : "chip");

let shownFile = null;
let fileUrl = "";

/** Show the photo of `query`, or hide the preview if it has none. */
export function showChip(query) {
  const hasPhoto = query.photo !== null || Boolean(query.uploadName);
  element().hidden = !hasPhoto;
  element("picture").hidden = false;
  if (query.upload) showFile(query.upload);
  else if (query.photo !== null) showStored(query.photo);
  else element("picture").hidden = true;
  if (query.uploadName) element("name").textContent = query.uploadName;
  if (query.upload !== shownFile) forgetFile();
}

/** Call `onRemove` when the user removes the photo. */
export function listenToChip(onRemove) {
  element("remove").addEventListener("click", onRemove);
  // A format that the browser cannot display can still be searched with; then the name has to do.
  element("picture").addEventListener("error", () => (element("picture").hidden = true));
}

function showFile(file) {
  if (file !== shownFile) {
    forgetFile();
    shownFile = file;
    fileUrl = URL.createObjectURL(file);
  }
  element("picture").src = fileUrl;
}

function forgetFile() {
  if (fileUrl) URL.revokeObjectURL(fileUrl);
  shownFile = null;
  fileUrl = "";
}

async function showStored(id) {
  element("picture").src = `/photos/${id}/thumbnail`;
  element("name").textContent = `Photo ${id}`;
  const metadata = await photograph(id).catch(() => null);
  const isStillShown = element("picture").getAttribute("src") === `/photos/${id}/thumbnail`;
  if (metadata?.name && isStillShown) element("name").textContent = metadata.name;
}
