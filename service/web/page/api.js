/** The service's HTTP interface as the page sees it. */

/** An answer that is no result: `kind` tells the cause, `message` is a sentence for the person. */
export class ServiceError extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

const UNREACHABLE = "The service does not answer. Is “smysl serve” still running?";

/** Ask for the library's facts: number of photographs, model. */
export function status(signal) {
  return ask("/status", { signal });
}

/** Ask for one photograph's facts by its id. */
export function photograph(id, signal) {
  return ask(`/photos/${id}`, { signal });
}

/** Ask for the heads by which photographs may be compared. */
export function heads(signal) {
  return ask("/heads", { signal });
}

/** Search with what `query` holds: a text, a photograph of the library, or an uploaded one. */
export function search(query, signal) {
  if (query.upload) return searchUpload(query, signal);
  const body = { text: query.text || null, photo_id: query.photo, k: query.k };
  if (query.minMatch !== null) body.min_match = query.minMatch;
  if (query.box) body.box = query.box;
  if (query.head && !query.text) body.head = query.head;
  const headers = { "Content-Type": "application/json" };
  return ask("/search", { method: "POST", headers, body: JSON.stringify(body), signal });
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
    return await ask("/search/image", { method: "POST", body, signal });
  } catch (error) {
    // A service that cuts an upload off closes the connection, which the browser reports like a dead service.
    if (error.kind === "unreachable" && (await isAlive(signal))) {
      throw new ServiceError("too_large", `The service stopped the upload: ${megabytes(query.upload)} is more than it takes.`);
    }
    throw error;
  }
}

async function isAlive(signal) {
  return ask("/health", { signal }).then(() => true, () => false);
}

function megabytes(file) {
  return `${(file.size / 1e6).toFixed(1)} MB`;
}

async function ask(address, options) {
  const response = await fetch(address, options).catch((error) => {
    throw error.name === "AbortError" ? error : new ServiceError("unreachable", UNREACHABLE);
  });
  const answer = await response.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return null;
  });
  if (response.ok && answer) return answer;
  throw new ServiceError(answer?.error?.kind ?? kindOf(response.status), answer?.error?.message ?? sentenceFor(response.status));
}

function kindOf(code) {
  return code === 413 ? "too_large" : "service";
}

function sentenceFor(code) {
  if (code === 413) return "The photograph is larger than the service takes.";
  return `The service answered with something that is no result (HTTP ${code}).`;
}
