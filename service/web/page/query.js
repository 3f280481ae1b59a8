/**
 * The query, and its form in the address bar.
 *
 * A query is `{text, photo, upload, uploadName, box, keepBorders, head, k, minMatch, order, shown}`: `text` is what was
 * typed, words and filters; `photo` is the id of a photo of the library, `upload` a File. One of text, photo and upload
 * is set, or none on the start page, which shows all photos by date.
 * `box` is the area of the photo to search with, "x,y,width,height" in fractions, empty for all of it;
 * `keepBorders` tells the service not to cut the letterbox or frame off an upload.
 * `head` names the head that photos are compared with, empty for none; texts do not use it.
 * `minMatch` is null for the default of the match; `order` is one of `ORDERS`; `shown` is the number of hits that have
 * been loaded, 0 for the first `k`.
 */

export const DEFAULT_K = 5;
export const STEPS_OF_K = [5, 10, 20, 50, 100, 200];
export const ORDERS = ["match", "-taken_at", "taken_at"];

// More than this the service does not send at once.
const MAX_SHOWN = 1000;

// An address cannot hold a file, so the history state names one that is kept here until the page is closed.
const uploads = new Map();

/** A query for nothing, with the head, k and minimum match of `other` if given. */
export function emptyQuery(other) {
  const subject = { text: "", photo: null, upload: null, uploadName: "", box: "", keepBorders: false, order: "match", shown: 0 };
  return { ...subject, head: other?.head ?? "", k: other?.k ?? DEFAULT_K, minMatch: other?.minMatch ?? null };
}

/** Whether the query has neither text nor photo. */
export function isEmpty(query) {
  return !query.text && query.photo === null && !query.uploadName;
}

/** Whether both have the same text or photo. */
export function sameSubject(one, other) {
  return one.text === other.text && one.photo === other.photo && one.upload === other.upload;
}

/** Read a query from an address and the state of its history entry. */
export function readQuery(address, state) {
  const fields = new URLSearchParams(address);
  const query = emptyQuery();
  query.text = (fields.get("q") ?? fields.get("text") ?? "").trim();
  query.k = nearestStep(Number(fields.get("k") ?? DEFAULT_K));
  query.minMatch = clamp(Number(fields.get("min_match") || NaN));
  query.order = ORDERS.includes(fields.get("order")) ? fields.get("order") : "match";
  query.shown = Math.min(MAX_SHOWN, Math.max(0, Math.trunc(Number(fields.get("shown")) || 0)));
  if (query.text) return query;
  query.head = fields.get("head") ?? "";
  query.box = fields.get("box") ?? "";
  const photo = Number(fields.get("photo") ?? NaN);
  if (Number.isSafeInteger(photo) && photo >= 0) return { ...query, photo };
  query.uploadName = fields.get("upload") ?? "";
  query.upload = uploads.get(state?.upload) ?? null;
  query.keepBorders = fields.has("keep_borders");
  return query;
}

/** The address of a query. */
export function addressOf(query) {
  const fields = new URLSearchParams();
  if (query.text) fields.set("q", query.text);
  else if (query.photo !== null) fields.set("photo", query.photo);
  else if (query.uploadName) fields.set("upload", query.uploadName);
  if (query.head && !query.text && !isEmpty(query)) fields.set("head", query.head);
  if (query.box) fields.set("box", query.box);
  if (query.keepBorders) fields.set("keep_borders", "yes");
  if (!isEmpty(query) && query.k !== DEFAULT_K) fields.set("k", query.k);
  if (!isEmpty(query) && query.minMatch !== null) fields.set("min_match", query.minMatch.toFixed(2));
  if (query.order !== "match") fields.set("order", query.order);
  if (query.shown) fields.set("shown", query.shown);
  return fields.size ? `/?${fields}` : "/";
}

/** The state of the history entry of a query; names the uploaded file, if there is one. */
export function historyState(query) {
  if (!query.upload) return null;
  for (const [key, file] of uploads) if (file === query.upload) return { upload: key };
  const key = crypto.getRandomValues(new Uint32Array(2)).join("-");
  uploads.set(key, query.upload);
  return { upload: key };
}

function nearestStep(k) {
  return STEPS_OF_K.find((step) => step >= k) ?? (k > STEPS_OF_K.at(-1) ? STEPS_OF_K.at(-1) : DEFAULT_K);
}

function clamp(match) {
  return Number.isFinite(match) ? Math.min(1, Math.max(0, match)) : null;
}
