/** The HTTP API of the service. */

/** A request that failed: `kind` names the cause, `message` is a sentence for the user. */
export class ServiceError extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

const UNREACHABLE = "The service does not respond. Is “smysl serve” still running?";

/** The status of the library: number of photos, model, progress of indexing. */
export function status(signal) {
  return request("/status", { signal });
}

/** The metadata of one photo by its id. */
export function photograph(id, signal) {
  return request(`/photos/${id}`, { signal });
}

/** The heads that photos can be compared with. */
export function heads(signal) {
  return request("/heads", { signal });
}

/** The photos of the library by date, like an answer to a search; newest first unless `query` says otherwise. */
export async function browse(query, limit, cursor, signal) {
  const fields = new URLSearchParams({ order: query.order === "match" ? "-taken_at" : query.order, limit });
  if (cursor) fields.set("cursor", cursor);
  const { photos, total, next_cursor } = await request(`/photos?${fields}`, { signal });
  const hits = photos.map((photo) => ({ ...photo, match: null, similarity: null }));
  return { hits, photographs: total, model: null, next_cursor };
}

/** Search for `k` hits by the text, the photo of the library or the uploaded photo of `query`; after `cursor` if given. */
export function search(query, k, cursor, signal) {
  const optional = {
    order: query.order === "match" ? null : query.order,
    min_match: query.minMatch,
    box: query.box || null,
    head: query.text ? null : query.head || null,
    cursor: cursor ?? null,
  };
  const fields = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== null));
  if (query.upload) return searchUpload(query, { k, ...fields }, signal);
  const subject = query.text ? { q: query.text } : { photo_id: query.photo };
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify({ ...subject, k, ...fields });
  return request("/search", { method: "POST", headers, body, signal });
}

async function searchUpload(query, fields, signal) {
  const body = new FormData();
  body.set("photo", query.upload);
  for (const [name, value] of Object.entries(fields)) body.set(name, value);
  if (query.keepBorders) body.set("keep_borders", true);
  try {
    return await request("/search/image", { method: "POST", body, signal });
  } catch (error) {
    // When the service stops an upload it closes the connection, which browsers report like a dead service.
    if (error.kind === "unreachable" && (await isAlive(signal))) {
      throw new ServiceError("too_large", `The service refused the upload: ${megabytes(query.upload)} is over its limit.`);
    }
    throw error;
  }
}

async function isAlive(signal) {
  return request("/health", { signal }).then(() => true, () => false);
}

function megabytes(file) {
  return `${(file.size / 1e6).toFixed(1)} MB`;
}

async function request(address, options) {
  const response = await fetch(address, options).catch((error) => {
    throw error.name === "AbortError" ? error : new ServiceError("unreachable", UNREACHABLE);
  });
  const answer = await response.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return null;
  });
  if (response.ok && answer) return answer;
  throw new ServiceError(answer?.error?.kind ?? kindOf(response.status), answer?.error?.message ?? messageFor(response.status));
}

function kindOf(code) {
  return code === 413 ? "too_large" : "service";
}

function messageFor(code) {
  if (code === 413) return "The photo is larger than the service allows.";
  return `The service sent an unexpected response (HTTP ${code}).`;
}
