/**
 * The query, and its form in the address bar.
 *
 * A query is `{text, photo, upload, uploadName, box, keepBorders, head, k, minMatch}`: `photo` is the id of a photo of
 * the library, `upload` a File. One of text, photo and upload is set, or none on the start page.
 * `box` is the area of the photo to search with, "x,y,width,height" in fractions, empty for all of it;
 * `keepBorders` tells the service not to cut the letterbox or frame off an upload.
 * `head` names the head that photos are compared with, empty for none; texts do not use it.
 * `minMatch` is null for the default of the match.
 */

export const DEFAULT_K = 5;
export const STEPS_OF_K = [5, 10, 20, 50, 100, 200];

// An address cannot hold a file, so the history state names one that is kept here until the page is closed.
const uploads = new Map();

/** A query for nothing, with the head, k and minimum match of `other` if given. */
export function emptyQuery(other) {
  const subject = { text: "", photo: null, upload: null, uploadName: "", box: "", keepBorders: false };
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
  query.text = (fields.get("text") ?? "").trim();
  query.k = nearestStep(Number(fields.get("k") ?? DEFAULT_K));
  query.minMatch = clamp(Number(fields.get("min_match") || NaN));
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
  if (query.text) fields.set("text", query.text);
  else if (query.photo !== null) fields.set("photo", query.photo);
  else if (query.uploadName) fields.set("upload", query.uploadName);
  else return "/";
  if (query.head && !query.text) fields.set("head", query.head);
  if (query.box) fields.set("box", query.box);
  if (query.keepBorders) fields.set("keep_borders", "yes");
  if (query.k !== DEFAULT_K) fields.set("k", query.k);
  if (query.minMatch !== null) fields.set("min_match", query.minMatch.toFixed(2));
  return `/?${fields}`;
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
