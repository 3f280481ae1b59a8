/** What the service understood of the text as filters: chips below the search box, each of which can be taken off. */

const list = () => document.getElementById("understood");

/** Show a chip for each of `filters` (`{label, text}`), and call `onRemove(filter)` when the user takes one off. */
export function showUnderstood(filters, onRemove) {
  list().hidden = !filters.length;
  list().replaceChildren(...filters.map((filter) => newChip(filter, () => onRemove(filter))));
}

/** `text` without the part of it that means `filter`, which is one of `filters` in the order in which they were typed. */
export function withoutFilter(text, filters, filter) {
  let end = 0;
  for (const each of filters) {
    const start = startOf(each.text, text, end);
    if (start < 0) continue;
    end = start + each.text.length;
    if (each === filter) return join(text.slice(0, start), text.slice(end));
  }
  return text;
}

/** `text` without the parts of it that mean `filters`. */
export function withoutFilters(text, filters) {
  return filters.reduceRight((rest, filter, index) => withoutFilter(rest, filters.slice(0, index + 1), filter), text);
}

// Not within a longer word, unless it occurs only there.
function startOf(part, text, from) {
  for (let start = text.indexOf(part, from); start >= 0; start = text.indexOf(part, start + 1)) {
    if (!isLetter(text[start - 1]) && !isLetter(text[start + part.length])) return start;
  }
  return text.indexOf(part, from);
}

function isLetter(character) {
  return /[\p{L}\p{N}]/u.test(character ?? "");
}

function join(before, after) {
  return `${before} ${after}`.replace(/\s+/g, " ").replace(/^[\s,;]+|[\s,;]+$/g, "");
}

function newChip({ label, text }, onRemove) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.title = `Remove “${text}” from the search`;
  const name = document.createElement("span");
  name.textContent = label;
  const hidden = document.createElement("span");
  hidden.className = "visually-hidden";
  hidden.textContent = ": remove from the search";
  const cross = document.getElementById("chip-remove").querySelector("svg").cloneNode(true);
  button.append(name, hidden, cross);
  button.addEventListener("click", onRemove);
  item.append(button);
  return item;
}
