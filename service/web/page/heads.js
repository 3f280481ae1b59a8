/** The choice by which head of the library photographs are compared. */

import { heads } from "./api.js";
import * as messages from "./messages.js";

const part = (name) => document.getElementById(name);

let known = [];
let shown = null;

/** Show which head `query` is compared by; nothing where the library has none to choose from. */
export function showHead(query) {
  shown = query;
  const asked = query.head && !known.includes(query.head) ? [query.head] : [];
  const names = [...known, ...asked];
  part("compare").hidden = !names.length || (query.photo === null && !query.uploadName);
  const plain = new Option(messages.plainComparison, "");
  part("head").replaceChildren(plain, ...names.map((name) => new Option(name, name)));
  part("head").value = query.head;
}

/** Ask the library for its heads, and call `choose(name)` with the one that the person takes, "" for none. */
export async function listenToHead(choose) {
  part("head").addEventListener("change", (event) => choose(event.target.value));
  // Without the list there is nothing to choose from, and searches say themselves what is wrong.
  const answer = await heads().catch(() => ({ heads: [] }));
  known = answer.heads.filter((head) => !head.fault).map((head) => head.name);
  if (shown) showHead(shown);
}
