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

/** Search by the text, the photo of the library or the uploaded photo of `query`. */
export function search(query, signal) {
  if (query.upload) return searchUpload(query, signal);
  const body = { text: query.text || null, photo_id: query.photo, k: query.k };
  if (query.minMatch !== null) body.min_match = query.minMatch;
  if (query.box) body.box = query.box;
  if (query.head && !query.text) body.head = query.head;
  const headers = { "Content-Type": "application/json" };
  return request("/search", { method: "POST", headers, body: JSON.stringify(body), signal });
}

async function searchUpload(query, signal) {
  const body = new FormData();
  body.set("photo", query.upload);
  body.set("k", query.k);
  if (query.minMatch !== null) body.set("min_match", query.minMatch);
  if (query.box) body.set("box", query.box);
  if (query.head) body.set("head", query.head);
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
