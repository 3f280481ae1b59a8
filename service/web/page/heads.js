/** The choice of the head that photos are compared with. */

import { heads } from "./api.js";
import * as messages from "./messages.js";

const element = (name) => document.getElementById(name);

let headNames = [];
let shownQuery = null;

/** Show the head of `query`; hide the choice if the library has no heads or the query has no photo. */
export function showHead(query) {
  shownQuery = query;
  const unknown = query.head && !headNames.includes(query.head) ? [query.head] : [];
  const names = [...headNames, ...unknown];
  element("compare").hidden = !names.length || (query.photo === null && !query.uploadName);
  const none = new Option(messages.noHead, "");
  element("head").replaceChildren(none, ...names.map((name) => new Option(name, name)));
  element("head").value = query.head;
}

/** Load the heads of the library, and call `onChoice(name)` with the one that the user chooses, "" for none. */
export async function listenToHead(onChoice) {
  element("head").addEventListener("change", (event) => onChoice(event.target.value));
  // Without the list there is no choice; what is wrong is reported by the searches.
  const answer = await heads().catch(() => ({ heads: [] }));
  headNames = answer.heads.filter((head) => !head.fault).map((head) => head.name);
  if (shownQuery) showHead(shownQuery);
}
