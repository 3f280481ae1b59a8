/** The page: keeps the form, the address bar and what is shown in step. */

import { search, status } from "./api.js";
import { listenToChip, showChip } from "./chip.js";
import { focusHit, listenToKeys, showHits, showSkeleton } from "./grid.js";
import { listenToHead, showHead } from "./heads.js";
import { listenForPhotographs } from "./upload.js";
import { listenToPart, showPart, tellPart } from "./crop.js";
import { DEFAULT_K, STEPS_OF_K, addressOf, emptyQuery, entryOf, isEmpty, readQuery, sameSubject } from "./query.js";
import * as messages from "./messages.js";
import { Viewer } from "./viewer.js";

const part = (name) => document.getElementById(name);

// A wait shorter than this needs no sign; a sign that only flickers is worse than none.
const PATIENCE_MS = 150;
const SLIDER_REST_MS = 200;
const ANSWERS_KEPT = 30;
const INDEXING_REST_MS = 1500;

let query = emptyQuery();
let hits = [];
let pending = null;
let library = null;
const answers = new Map();
const viewer = new Viewer({
  findLike: (hit) => {
    // Scrolling here would be what the browser remembers for the way back.
    part("outcome").focus({ preventScroll: true });
    go({ ...emptyQuery(query), photo: hit.id });
  },
  closed: (index) => focusHit(part("hits"), index),
});

/** Look for `next` and give it an address of its own; with `replace`, take over the present one. */
function go(next, { replace = false } = {}) {
  const entry = entryOf(next);
  if (replace) history.replaceState(entry, "", addressOf(next));
  else history.pushState(entry, "", addressOf(next));
  if (!replace) scrollTo(0, 0);
  return show(next);
}

/** Bring everything on the page in line with `next`; `kept` is an answer that is already here. */
async function show(next, kept) {
  pending?.abort();
  const refined = sameSubject(query, next) && hits.length > 0;
  query = next;
  viewer.close();
  reflect();
  if (isEmpty(query)) return showStart();
  if (query.uploadName && !query.upload) return showNothing(messages.lostUpload(query.uploadName));
  if (kept) return showAnswer(kept);
  const mine = (pending = new AbortController());
  const sign = setTimeout(() => showWaiting(refined), PATIENCE_MS);
  try {
    const answer = await search(query, mine.signal);
    clearTimeout(sign);
    if (mine.signal.aborted) return;
    keep(answer);
    showAnswer(answer);
  } catch (error) {
    clearTimeout(sign);
    if (mine.signal.aborted) return;
    const isEmptyLibrary = error.kind === "library" && library?.photographs === 0;
    showNothing(isEmptyLibrary ? messages.emptyLibrary(library) : messages.failure(error), () => show(query));
  }
}

function reflect() {
  document.body.dataset.view = isEmpty(query) ? "start" : "results";
  document.title = messages.title(query);
  part("text").value = query.text;
  part("text").placeholder = query.photo !== null || query.uploadName ? "or words" : "Describe a scene";
  part("k").value = query.k;
  showCut(query.minMatch, query.minMatch === null);
  showChip(query);
  showPart(query);
  showHead(query);
}

// Until an answer tells which cut the match itself makes, the slider stays where it was.
function showCut(minMatch, isAuto) {
  if (minMatch !== null) {
    part("min-match").value = minMatch;
    part("min-match-value").textContent = minMatch.toFixed(2);
  }
  part("min-match-auto").setAttribute("aria-pressed", isAuto);
}

function showStart() {
  clear();
  part("outcome").textContent = "";
  showEmptiness();
}

function showEmptiness() {
  part("message").hidden = true;
  if (library?.photographs === 0) showMessage(messages.emptyLibrary(library));
}

function showWaiting(refined) {
  part("outcome").textContent = "Searching…";
  part("hits").setAttribute("aria-busy", "true");
  if (refined) return;
  clear();
  part("hits").setAttribute("aria-busy", "true");
  showSkeleton(part("hits"), query.k);
}

function showAnswer(answer) {
  if (answer.photographs === 0) return showNothing(messages.emptyLibrary(library));
  clear({ keepTiles: true });
  hits = answer.hits;
  showCut(query.minMatch ?? answer.min_match, query.minMatch === null);
  showHits(part("hits"), hits, (index) => viewer.open(hits, index));
  showOutcome(answer);
  tellPart(answer, query);
  showNote("notice", answer.notice);
  showNote("doubt", messages.doubt(answer, query));
  part("more").hidden = hits.length < query.k || query.k >= STEPS_OF_K.at(-1) || hits.length >= answer.photographs;
  if (!hits.length) showMessage(messages.nothingFound(answer, query), () => go({ ...query, minMatch: 0 }, { replace: true }));
}

function showOutcome(answer) {
  const count = document.createElement("strong");
  count.textContent = messages.count(answer);
  const details = document.createElement("span");
  details.textContent = messages.details(answer);
  part("outcome").replaceChildren(count, details);
}

function showNothing(message, act) {
  clear();
  part("outcome").textContent = "";
  showMessage(message, act);
}

function clear({ keepTiles = false } = {}) {
  hits = [];
  part("hits").removeAttribute("aria-busy");
  if (!keepTiles) part("hits").replaceChildren();
  for (const name of ["message", "notice", "doubt", "more"]) part(name).hidden = true;
}

function showMessage({ title, text, command, action, urgent }, act) {
  part("message-title").textContent = title;
  part("message-text").textContent = text;
  part("message-command").hidden = !command;
  part("message-command").firstElementChild.textContent = command ?? "";
  part("message-action").hidden = !action;
  part("message-action").textContent = action ?? "";
  part("message-action").onclick = act ?? null;
  part("message").setAttribute("role", urgent ? "alert" : "status");
  part("message").hidden = false;
}

function showNote(name, sentence) {
  part(name).textContent = sentence ?? "";
  part(name).hidden = !sentence;
}

function keep(answer) {
  answers.set(keyOf(query), answer);
  if (answers.size > ANSWERS_KEPT) answers.delete(answers.keys().next().value);
}

function keyOf(some) {
  return `${addressOf(some)} ${entryOf(some)?.upload ?? ""}`;
}

// Once is enough, unless the service is reading photographs at this moment.
async function readStatus() {
  try {
    library = await status();
    part("library").textContent = messages.library(library);
    if (isEmpty(query)) showEmptiness();
    if (messages.isIndexing(library)) setTimeout(readStatus, INDEXING_REST_MS);
  } catch (error) {
    if (isEmpty(query)) showMessage(messages.failure(error), () => location.reload());
  }
}

function onSubmit(event) {
  event.preventDefault();
  const text = part("text").value.trim();
  if (text) {
    const next = { ...emptyQuery(query), text };
    go(next, { replace: sameSubject(next, query) });
  } else if (query.photo !== null || query.upload) {
    show(query);
  } else {
    part("outcome").textContent = "Write what the photograph should show.";
    part("text").focus();
  }
}

function onPhotograph(file, count) {
  const name = file.name || "pasted photograph";
  go({ ...emptyQuery(query), upload: file, uploadName: count > 1 ? `${name}, first of ${count}` : name });
}

function onChipRemoved() {
  const text = part("text").value.trim();
  go({ ...emptyQuery(query), text });
  part("text").focus();
}

function listenToRefinements() {
  let rest;
  part("min-match").addEventListener("input", (event) => {
    const minMatch = Number(event.target.value);
    showCut(minMatch, false);
    clearTimeout(rest);
    rest = setTimeout(() => refine({ minMatch }), SLIDER_REST_MS);
  });
  part("min-match-auto").addEventListener("click", () => {
    clearTimeout(rest);
    refine({ minMatch: null });
  });
  part("k").addEventListener("change", (event) => refine({ k: Number(event.target.value) }));
  part("more").addEventListener("click", () => refine({ k: STEPS_OF_K.find((step) => step > query.k) ?? DEFAULT_K }));
}

// What is being typed but not yet searched for must survive a move of the slider.
function refine(change) {
  const typed = part("text").value;
  go({ ...query, ...change }, { replace: true });
  part("text").value = typed;
}

// A real navigation would forget the uploaded photographs that older entries of the history name.
function onWordmark(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  go(emptyQuery(query));
  part("text").focus();
}

function onKey(event) {
  const writing = event.target.closest?.("input, select, textarea, dialog");
  if (event.key !== "/" || writing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  part("text").select();
}

function onPopState(event) {
  const next = readQuery(location.search, event.state);
  show(next, answers.get(keyOf(next)));
}

function start() {
  part("search").addEventListener("submit", onSubmit);
  listenToRefinements();
  listenToChip(onChipRemoved);
  listenToPart({
    choose: (box) => go({ ...query, box }),
    keep: (keepBorders) => go({ ...query, keepBorders }, { replace: true }),
  });
  listenToHead((head) => refine({ head }));
  part("wordmark").addEventListener("click", onWordmark);
  listenForPhotographs(onPhotograph);
  listenToKeys(part("hits"));
  document.addEventListener("keydown", onKey);
  addEventListener("popstate", onPopState);
  readStatus();
  show(readQuery(location.search, history.state));
  // On a phone the focus would push a keyboard over the page before anything has been read.
  if (isEmpty(query) && matchMedia("(hover: hover)").matches) part("text").focus();
}

start();
