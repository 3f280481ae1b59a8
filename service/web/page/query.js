/**
 * What is being looked for, and its place in the address bar.
 *
 * A query is `{text, photo, upload, uploadName, box, keepBorders, head, k, minMatch}`: `photo` is the id of a
 * photograph of the library, `upload` a File of the person's own. One of text, photo and upload is set, or none at
 * the start.
 * `box` is the part of the photograph that searches, "x,y,width,height" in fractions, and empty for all of it;
 * `keepBorders` says that an upload searches with its letterbox or frame.
 * `head` names the library's head that photographs are compared by and is empty for none; a text has no use for it.
 * `minMatch` is null where the cut is left to the match itself.
 */

export const DEFAULT_K = 5;
export const STEPS_OF_K = [5, 10, 20, 50, 100, 200];

// Files do not survive in an address, so the history entry names a file kept here for the page's life.
const uploads = new Map();

/** The query with nothing in it, with the refinements of `other` where given. */
export function emptyQuery(other) {
  const nothing = { text: "", photo: null, upload: null, uploadName: "", box: "", keepBorders: false };
  return { ...nothing, head: other?.head ?? "", k: other?.k ?? DEFAULT_K, minMatch: other?.minMatch ?? null };
}

/** Whether there is nothing to look for. */
export function isEmpty(query) {
  return !query.text && query.photo === null && !query.uploadName;
}

/** Whether both look for the same, whatever their number of results and least match. */
export function sameSubject(one, other) {
  return one.text === other.text && one.photo === other.photo && one.upload === other.upload;
}

/** Read the query from the address and from the history entry's own state. */
export function readQuery(address, entry) {
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
  query.upload = uploads.get(entry?.upload) ?? null;
  query.keepBorders = fields.has("keep_borders");
  return query;
}

/** The address that carries the query. */
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

/** The state of the history entry: names the uploaded file, if there is one. */
export function entryOf(query) {
  if (!query.upload) return null;
  for (const [key, file] of uploads) if (file === query.upload) return { upload: key };
  const key = crypto.getRandomValues(new Uint32Array(2)).join("-");
  uploads.set(key, query.upload);
  return { upload: key };
}

function nearestStep(k) {
  return STEPS_OF_K.find((step) => step >= k) ?? (k > 200 ? 200 : DEFAULT_K);
}

function clamp(match) {
  return Number.isFinite(match) ? Math.min(1, Math.max(0, match)) : null;
}
