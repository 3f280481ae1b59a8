/** The page: keeps the form, the address bar and the results in step. */

import { browse, search, status } from "./api.js";
import { listenToChip, showChip } from "./chip.js";
import { listenToControls, showControls, showMinMatch, showOrder } from "./controls.js";
import { listenToCrop, showCrop, showSearchedArea } from "./crop.js";
import { addHits, focusHit, listenToKeys, showHits, showSkeleton } from "./grid.js";
import { listenToHead, showHead } from "./heads.js";
import * as messages from "./messages.js";
import { hideMessages, showLine, showMessage, showNote, showOutcome } from "./outcome.js";
import { addressOf, emptyQuery, historyState, isEmpty, readQuery, sameSubject } from "./query.js";
import { showUnderstood, withoutFilter, withoutFilters } from "./understood.js";
import { listenForPhotos } from "./upload.js";
import { Viewer } from "./viewer.js";

const element = (name) => document.getElementById(name);

// Faster searches show no waiting state, which would only flicker.
const WAITING_DELAY_MS = 150;
const CACHE_SIZE = 30;
const STATUS_INTERVAL_MS = 1500;
// Hits of each page after the first, and photos of each page by date.
const PAGE_SIZE = 40;
const BROWSED_SIZE = 100;
// Photos by date are loaded when their end is so near.
const LOADED_AHEAD = "1500px";

let query = emptyQuery();
let answer = null;
let hits = [];
let pending = null;
let loadingMore = null;
let library = null;
const cache = new Map();
const viewer = new Viewer({
  onFindSimilar: (hit) => {
    // Without `preventScroll` the browser would restore the wrong scroll position on the way back.
    element("outcome").focus({ preventScroll: true });
    navigate({ ...emptyQuery(query), photo: hit.id });
  },
  onClose: (index) => focusHit(element("hits"), index),
  onNearEnd: () => isByDate() && showMore(),
});
const endOfPage = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && showMore(), {
  rootMargin: LOADED_AHEAD,
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
function show(next, cached) {
  pending?.abort();
  const isRefinement = sameSubject(query, next) && hits.length > 0;
  query = next;
  answer = null;
  viewer.close();
  showQuery();
  if (query.uploadName && !query.upload) return showOnlyMessage(messages.lostUpload(query.uploadName));
  if (isEmpty(query)) showLine("");
  if (cached) return showAnswer(cached);
  if (isEmpty(query) && !isRefinement) clear();
  return loadFirst(isRefinement);
}

async function loadFirst(isRefinement) {
  pending?.abort();
  const { signal } = (pending = new AbortController());
  const waiting = isEmpty(query) ? null : setTimeout(() => showWaiting(isRefinement), WAITING_DELAY_MS);
  try {
    const found = await load(null, signal);
    clearTimeout(waiting);
    if (signal.aborted) return;
    addToCache(found);
    showAnswer(found);
  } catch (error) {
    clearTimeout(waiting);
    if (!signal.aborted) showFailure(error);
  }
}

/** A page of hits of the query, or of all photos by date if it is empty: the first one, or the one after `cursor`. */
function load(cursor, signal) {
  if (isEmpty(query)) return browse(query, (!cursor && query.shown) || BROWSED_SIZE, cursor, signal);
  return search(query, cursor ? PAGE_SIZE : query.shown || query.k, cursor, signal);
}

/** Load the next page and add it to the hits. */
async function showMore() {
  if (!answer?.next_cursor || (loadingMore && !loadingMore.aborted)) return;
  const { signal } = (pending = new AbortController());
  loadingMore = signal;
  try {
    const page = await load(answer.next_cursor, signal);
    if (signal.aborted) return;
    loadingMore = null;
    showPage(page);
  } catch (error) {
    if (!signal.aborted) showNote("warning", error.message);
  } finally {
    if (loadingMore === signal) loadingMore = null;
  }
}

function showPage(page) {
  const start = hits.length;
  hits = [...hits, ...page.hits];
  answer = { ...answer, hits, next_cursor: page.next_cursor };
  cache.delete(cacheKey(query));
  query = { ...query, shown: hits.length };
  history.replaceState(historyState(query), "", addressOf(query));
  addToCache(answer);
  addHits(element("hits"), hits, start, gridOptions());
  viewer.extend(hits, total());
  showCount();
  showNote("warning", messages.warning(answer, query));
  showEnd();
}

function showQuery() {
  document.body.dataset.view = isEmpty(query) ? "start" : "results";
  document.title = messages.title(query);
  element("text").value = query.text;
  element("text").placeholder = query.photo !== null || query.uploadName ? "or text" : "Describe a scene";
  showControls(query, isEmpty(query));
  showOrder(!isEmpty(query));
  showMinMatch(query.minMatch, query.minMatch === null);
  showUnderstood([]);
  showChip(query);
  showCrop(query);
  showHead(query);
}

function showWaiting(isRefinement) {
  showLine("Searching…");
  element("hits").setAttribute("aria-busy", "true");
  if (isRefinement) return;
  clear();
  element("hits").setAttribute("aria-busy", "true");
  showSkeleton(element("hits"), query.k);
}

function showAnswer(found) {
  // Photos with a date come first.
  const isWithoutDates = isEmpty(query) && !found.hits[0]?.taken_at;
  if (found.photographs === 0 || isWithoutDates) return showEmptyLibrary();
  clear({ keepTiles: true });
  answer = found;
  hits = answer.hits;
  showHits(element("hits"), hits, gridOptions());
  showControls(query, isByDate());
  showOrder(true);
  showUnderstood(understood(), (filter) => navigate(withText(withoutFilter(query.text, understood(), filter))));
  showCount();
  showNote("notice", answer.notice);
  if (!isByDate()) showMatches();
  showEnd();
  if (!hits.length) showNothingFound();
}

function showMatches() {
  showMinMatch(query.minMatch ?? answer.min_match, query.minMatch === null);
  showSearchedArea(answer, query);
  showNote("warning", messages.warning(answer, query));
}

// Whether photos are listed by date and compared with nothing.
function isByDate() {
  return isEmpty(query) || answer?.model === null;
}

function gridOptions() {
  return { onOpen: (index) => viewer.open(hits, index, total()), byDay: isByDate() };
}

// How many matches there are is not known before they have been loaded; hits of an earlier query are all there are.
function total() {
  return answer && isByDate() ? (answer.filtered ?? answer.photographs) : hits.length;
}

function understood() {
  return answer.understood ?? [];
}

function withText(text) {
  return { ...emptyQuery(query), text, order: text ? query.order : "match" };
}

function showNothingFound() {
  const message = messages.nothingFound(answer, query);
  if (understood().length) return showMessage(message, () => navigate(withText(withoutFilters(query.text, understood()))));
  return showMessage(message, () => navigate({ ...query, minMatch: 0 }, { replace: true }));
}

function showCount() {
  if (!isEmpty(query)) showOutcome(messages.count(answer), messages.details(answer));
}

// More photos by date come by themselves, more matches when they are asked for.
function showEnd() {
  endOfPage.disconnect();
  element("more").hidden = !answer.next_cursor;
  if (answer.next_cursor && isByDate()) endOfPage.observe(element("more"));
}

function showFailure(error) {
  if (error.kind === "library" && (isEmpty(query) || library?.photographs === 0)) return showEmptyLibrary();
  return showOnlyMessage(messages.failure(error), () => show(query));
}

function showEmptyLibrary() {
  clear();
  if (!isEmpty(query)) showLine("");
  if (!isEmpty(query) || library?.photographs === 0) showMessage(messages.emptyLibrary(library));
}

function showOnlyMessage(message, onAction) {
  clear();
  showLine("");
  showMessage(message, onAction);
}

function clear({ keepTiles = false } = {}) {
  answer = null;
  hits = [];
  endOfPage.disconnect();
  element("more").hidden = true;
  element("hits").removeAttribute("aria-busy");
  if (!keepTiles) element("hits").replaceChildren();
  hideMessages();
}

function addToCache(found) {
  cache.set(cacheKey(query), found);
  if (cache.size > CACHE_SIZE) cache.delete(cache.keys().next().value);
}

function cacheKey(query) {
  return `${addressOf(query)} ${historyState(query)?.upload ?? ""}`;
}

// Once is enough, unless the service is indexing.
async function readStatus() {
  const before = library;
  try {
    library = await status();
  } catch (error) {
    if (isEmpty(query)) showMessage(messages.failure(error), () => location.reload());
    return;
  }
  element("library").textContent = messages.library(library);
  if (messages.isIndexing(library)) setTimeout(readStatus, STATUS_INTERVAL_MS);
  if (!isEmpty(query) || hits.length) return;
  if (!library.photographs) showEmptyLibrary();
  else if (before && before.photographs !== library.photographs) await loadFirst(true);
}

function onSubmit(event) {
  event.preventDefault();
  const text = element("text").value.trim();
  if (text) {
    const next = { ...emptyQuery(query), text };
    navigate(next, { replace: sameSubject(next, query) });
  } else if (query.photo !== null || query.upload) {
    show(query);
  } else if (query.text) {
    navigate(emptyQuery(query));
  } else {
    showLine("Describe what the photo should show.");
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

// Keeps text that has been typed but not searched for yet.
function refine(change) {
  const typed = element("text").value;
  navigate({ ...query, shown: 0, ...change }, { replace: !("order" in change) });
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
  listenToControls(refine);
  listenToChip(onChipRemoved);
  listenToCrop({
    onBox: (box) => navigate({ ...query, box, shown: 0 }),
    onKeepBorders: (keepBorders) => navigate({ ...query, keepBorders, shown: 0 }, { replace: true }),
  });
  listenToHead((head) => refine({ head }));
  element("wordmark").addEventListener("click", onWordmark);
  element("more").addEventListener("click", showMore);
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
