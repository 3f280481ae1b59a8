/** What a search came to, in words: the line above the hits, notes, and the message in place of hits. */

const element = (name) => document.getElementById(name);

/** Show how many photos there are, and how they were found. */
export function showOutcome(count, details = "") {
  const strong = document.createElement("strong");
  strong.textContent = count;
  const rest = document.createElement("span");
  rest.textContent = details;
  element("outcome").replaceChildren(strong, rest);
}

/** Show a line of plain text instead, such as that a search is running. */
export function showLine(text) {
  element("outcome").textContent = text;
}

/** Show a message (see messages.js) whose button calls `onAction`. */
export function showMessage({ title, text, command, action, urgent }, onAction) {
  element("message-title").textContent = title;
  element("message-text").textContent = text;
  element("message-command").hidden = !command;
  element("message-command").firstElementChild.textContent = command ?? "";
  element("message-action").hidden = !action;
  element("message-action").textContent = action ?? "";
  element("message-action").onclick = onAction ?? null;
  element("message").setAttribute("role", urgent ? "alert" : "status");
  element("message").hidden = false;
}

/** Show a note above the hits: a "notice" of the service or a "warning" of the page; hide it without a text. */
export function showNote(name, text) {
  element(name).textContent = text ?? "";
  element(name).hidden = !text;
}

/** Hide the message and the notes. */
export function hideMessages() {
  for (const name of ["message", "notice", "warning"]) element(name).hidden = true;
}
