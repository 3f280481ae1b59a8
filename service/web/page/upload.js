/** The three ways to upload a photo: drop it anywhere, paste it or choose a file. */

/** Call `onPhoto(file, count)` with the first of `count` photos that the user uploads at once. */
export function listenForPhotos(onPhoto) {
  listenForDrops(document.getElementById("drop"), onPhoto);
  document.addEventListener("paste", (event) => onPaste(event, onPhoto));
  const file = document.getElementById("file");
  document.getElementById("choose").addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    upload(file.files, onPhoto);
    // Otherwise choosing the same file again would not be a change.
    file.value = "";
  });
}

function listenForDrops(overlay, onPhoto) {
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragenter", (event) => {
    if (carriesFiles(event)) overlay.hidden = false;
  });
  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  document.addEventListener("dragleave", (event) => {
    // `relatedTarget` is the element that is entered; it is missing when the pointer leaves the window.
    if (!event.relatedTarget) overlay.hidden = true;
  });
  document.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    overlay.hidden = true;
    upload(event.dataTransfer.files, onPhoto);
  });
}

function onPaste(event, onPhoto) {
  const images = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
  if (!images.length) return;
  event.preventDefault();
  upload(images, onPhoto);
}

function upload(files, onPhoto) {
  if (files.length) onPhoto(files[0], files.length);
}
