/** The three ways by which a photograph comes in: dropped anywhere, pasted, chosen. */

/** Call `take(file, count)` with the first of `count` photographs that the person hands over. */
export function listenForPhotographs(take) {
  listenForDrops(document.getElementById("drop"), take);
  document.addEventListener("paste", (event) => onPaste(event, take));
  const file = document.getElementById("file");
  document.getElementById("choose").addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    hand(file.files, take);
    // Without this, choosing the same file a second time would be no change.
    file.value = "";
  });
}

function listenForDrops(curtain, take) {
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragenter", (event) => {
    if (carriesFiles(event)) curtain.hidden = false;
  });
  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  document.addEventListener("dragleave", (event) => {
    // Only leaving the window has no element that is entered instead.
    if (!event.relatedTarget) curtain.hidden = true;
  });
  document.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    curtain.hidden = true;
    hand(event.dataTransfer.files, take);
  });
}

function onPaste(event, take) {
  const pictures = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
  if (!pictures.length) return;
  event.preventDefault();
  hand(pictures, take);
}

function hand(files, take) {
  if (files.length) take(files[0], files.length);
}
