/** The page: keeps the form, the address bar and the results in step. */

import { search, status } from "./api.js";
import { listenToChip, showChip } from "./chip.js";
import { listenToCrop, showCrop, showSearchedArea } from "./crop.js";
import { focusHit, listenToKeys, showHits, showSkeleton } from "./grid.js";
import { listenToHead, showHead } from "./heads.js";
import * as messages from "./messages.js";
import { DEFAULT_K, STEPS_OF_K, addressOf, emptyQuery, historyState, isEmpty, readQuery, sameSubject } from "./query.js";
import { listenForPhotos } from "./upload.js";
import { Viewer } from "./viewer.js";

const element = (name) => document.getElementById(name);

// Faster searches show no waiting state, which would only flicker.
const WAITING_DELAY_MS = 150;
const SLIDER_DELAY_MS = 200;
const CACHE_SIZE = 30;
const STATUS_INTERVAL_MS = 1500;

let query = emptyQuery();
let hits = [];
let pending = null;
let library = null;
const cache = new Map();
const viewer = new Viewer({
  onFindSimilar: (hit) => {
    // Without `preventScroll` the browser would restore the wrong scroll position on the way back.
    element("outcome").focus({ preventScroll: true });
    navigate({ ...emptyQuery(query), photo: hit.id });
  },
  onClose: (index) => focusHit(element("hits"), index),
});

/** Search for `next` under an address of its own; with `replace`, under the present history entry. */
function navigate(next, { replace = false } = {}) {
  const state = historyState(next);
  if (replace) history.replaceState(state, "", addressOf(next));
  else history.pushState(state, "", addressOf(next));
  if (!replace) scrollTo(0, 0);
  return show(next);
}

/** Show `next` and its results, from `cached` if that is given. */
async function show(next, cached) {
  pending?.abort();
  const isRefinement = sameSubject(query, next) && hits.length > 0;
  query = next;
  viewer.close();
  showQuery();
  if (isEmpty(query)) return showStart();
  if (query.uploadName && !query.upload) return showOnlyMessage(messages.lostUpload(query.uploadName));
  if (cached) return showAnswer(cached);
  const controller = (pending = new AbortController());
  const waiting = setTimeout(() => showWaiting(isRefinement), WAITING_DELAY_MS);
  try {
    const answer = await search(query, controller.signal);
    clearTimeout(waiting);
    if (controller.signal.aborted) return;
    addToCache(answer);
    showAnswer(answer);
  } catch (error) {
    clearTimeout(waiting);
    if (controller.signal.aborted) return;
    const isEmptyLibrary = error.kind === "library" && library?.photographs === 0;
    showOnlyMessage(isEmptyLibrary ? messages.emptyLibrary(library) : messages.failure(error), () => show(query));
  }
}

function showQuery() {
  document.body.dataset.view = isEmpty(query) ? "start" : "results";
  document.title = messages.title(query);
  element("text").value = query.text;
  element("text").placeholder = query.photo !== null || query.uploadName ? "or text" : "Describe a scene";
  element("k").value = query.k;
  showMinMatch(query.minMatch, query.minMatch === null);
  showChip(query);
  showCrop(query);
  showHead(query);
}

// The default is known only from an answer; until then the slider stays where it was.
function showMinMatch(minMatch, isAuto) {
  if (minMatch !== null) {
    element("min-match").value = minMatch;
    element("min-match-value").textContent = minMatch.toFixed(2);
  }
  element("min-match-auto").setAttribute("aria-pressed", isAuto);
}

function showStart() {
  clear();
  element("outcome").textContent = "";
  showEmptyLibrary();
}

function showEmptyLibrary() {
  element("message").hidden = true;
  if (library?.photographs === 0) showMessage(messages.emptyLibrary(library));
}

function showWaiting(isRefinement) {
  element("outcome").textContent = "Searching…";
  element("hits").setAttribute("aria-busy", "true");
  if (isRefinement) return;
  clear();
  element("hits").setAttribute("aria-busy", "true");
  showSkeleton(element("hits"), query.k);
}

function showAnswer(answer) {
  if (answer.photographs === 0) return showOnlyMessage(messages.emptyLibrary(library));
  clear({ keepTiles: true });
  hits = answer.hits;
  showMinMatch(query.minMatch ?? answer.min_match, query.minMatch === null);
  showHits(element("hits"), hits, (index) => viewer.open(hits, index));
  showOutcome(answer);
  showSearchedArea(answer, query);
  showNote("notice", answer.notice);
  showNote("warning", messages.warning(answer, query));
  element("more").hidden = hits.length < query.k || query.k >= STEPS_OF_K.at(-1) || hits.length >= answer.photographs;
  if (!hits.length) showMessage(messages.nothingFound(answer, query), () => navigate({ ...query, minMatch: 0 }, { replace: true }));
}

function showOutcome(answer) {
  const count = document.createElement("strong");
  count.textContent = messages.count(answer);
  const details = document.createElement("span");
  details.textContent = messages.details(answer);
  element("outcome").replaceChildren(count, details);
}

function showOnlyMessage(message, onAction) {
  clear();
  element("outcome").textContent = "";
  showMessage(message, onAction);
}

function clear({ keepTiles = false } = {}) {
  hits = [];
  element("hits").removeAttribute("aria-busy");
  if (!keepTiles) element("hits").replaceChildren();
  for (const name of ["message", "notice", "warning", "more"]) element(name).hidden = true;
}

function showMessage({ title, text, command, action, urgent }, onAction) {
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

function showNote(name, text) {
  element(name).textContent = text ?? "";
  element(name).hidden = !text;
}

function addToCache(answer) {
  cache.set(cacheKey(query), answer);
  if (cache.size > CACHE_SIZE) cache.delete(cache.keys().next().value);
}

function cacheKey(query) {
  return `${addressOf(query)} ${historyState(query)?.upload ?? ""}`;
}

// Once is enough, unless the service is indexing.
async function readStatus() {
  try {
    library = await status();
    element("library").textContent = messages.library(library);
    if (isEmpty(query)) showEmptyLibrary();
    if (messages.isIndexing(library)) setTimeout(readStatus, STATUS_INTERVAL_MS);
  } catch (error) {
    if (isEmpty(query)) showMessage(messages.failure(error), () => location.reload());
  }
}

function onSubmit(event) {
  event.preventDefault();
  const text = element("text").value.trim();
  if (text) {
    const next = { ...emptyQuery(query), text };
    navigate(next, { replace: sameSubject(next, query) });
  } else if (query.photo !== null || query.upload) {
    show(query);
  } else {
    element("outcome").textContent = "Describe what the photo should show.";
    element("text").focus();
  }
}

function onPhoto(file, count) {
  const name = file.name || "pasted photo";
  navigate({ ...emptyQuery(query), upload: file, uploadName: count > 1 ? `${name}, first of ${count}` : name });
}

function onChipRemoved() {
  const text = element("text").value.trim();
  navigate({ ...emptyQuery(query), text });
  element("text").focus();
}

function listenToRefinements() {
  let delay;
  element("min-match").addEventListener("input", (event) => {
    const minMatch = Number(event.target.value);
    showMinMatch(minMatch, false);
    clearTimeout(delay);
    delay = setTimeout(() => refine({ minMatch }), SLIDER_DELAY_MS);
  });
  element("min-match-auto").addEventListener("click", () => {
    clearTimeout(delay);
    refine({ minMatch: null });
  });
  element("k").addEventListener("change", (event) => refine({ k: Number(event.target.value) }));
  element("more").addEventListener("click", () => refine({ k: STEPS_OF_K.find((step) => step > query.k) ?? DEFAULT_K }));
}

// Keeps text that has been typed but not searched for yet.
function refine(change) {
  const typed = element("text").value;
  navigate({ ...query, ...change }, { replace: true });
  element("text").value = typed;
}

// Loading the page again would lose the uploaded photos of earlier history entries.
function onWordmark(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  navigate(emptyQuery(query));
  element("text").focus();
}

function onKey(event) {
  const isTyping = event.target.closest?.("input, select, textarea, dialog");
  if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  element("text").select();
}

function onPopState(event) {
  const next = readQuery(location.search, event.state);
  show(next, cache.get(cacheKey(next)));
}

function start() {
  element("search").addEventListener("submit", onSubmit);
  listenToRefinements();
  listenToChip(onChipRemoved);
  listenToCrop({
    onBox: (box) => navigate({ ...query, box }),
    onKeepBorders: (keepBorders) => navigate({ ...query, keepBorders }, { replace: true }),
  });
  listenToHead((head) => refine({ head }));
  element("wordmark").addEventListener("click", onWordmark);
  listenForPhotos(onPhoto);
  listenToKeys(element("hits"));
  document.addEventListener("keydown", onKey);
  addEventListener("popstate", onPopState);
  readStatus();
  show(readQuery(location.search, history.state));
  // On a phone the focus would open a keyboard over the page.
  if (isEmpty(query) && matchMedia("(hover: hover)").matches) element("text").focus();
}

start();
