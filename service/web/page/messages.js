/** What the page says: every sentence in one place, built from answers and errors. */

const numbers = new Intl.NumberFormat("en");

const CALIBRATIONS = {
  ratings: "match fitted on people’s ratings",
  sigmoid: "match is the model’s own probability",
  background: "match measured against this library",
  head: "match is the chance of one kind",
};

const EMPTY_LIBRARY = {
  title: "This library has no photographs yet",
  text: "Add a folder of them, then search again:",
  command: "smysl index DIR",
};

/** What photographs are compared by without a head. */
export const plainComparison = "all that they show";

/** The window's title. */
export function title(query) {
  if (query.text) return `${query.text} – smysl`;
  if (query.uploadName) return `Like ${query.uploadName} – smysl`;
  return query.photo === null ? "smysl" : "Like this photograph – smysl";
}

/** The library in one line, from the answer of /status. */
export function library(facts) {
  const known = [photographs(facts.photographs), facts.model?.name];
  return [...known, indexing(facts.indexing)].filter(Boolean).join(" · ");
}

/** How many were found among how many. */
export function count(answer) {
  return `${numbers.format(answer.hits.length)} of ${photographs(answer.photographs)}`;
}

/** How it was found: time, model, where the match comes from. */
export function details(answer) {
  const time = answer.took_ms < 1 ? "under 1 ms" : `${numbers.format(Math.round(answer.took_ms))} ms`;
  return [time, answer.model, answer.head && `head ${answer.head}`, CALIBRATIONS[answer.calibration]].filter(Boolean).map((word) => ` · ${word}`).join("");
}

/** A doubt about hits that are shown although none of them answers the query; null where there is none. */
export function doubt(answer, query) {
  if (answer.answerable !== false || !answer.hits.length) return null;
  return `${nothing(query)}: the best match is ${match(answer.best_match ?? answer.hits[0].match)}. These are the nearest.`;
}

/** The message for an answer without hits. */
export function nothingFound(answer, query) {
  const best = Number.isFinite(answer.best_match) ? `The best match is ${match(answer.best_match)}` : "";
  const least = `${match(answer.min_match)} or more`;
  const cut = answer.min_match > 0 ? (query.minMatch === null ? `only ${least} is shown` : `you asked for ${least}`) : "";
  return {
    title: nothing(query),
    text: [best, cut].filter(Boolean).join("; ") + (best || cut ? "." : ""),
    action: answer.min_match > 0 ? "Show the nearest anyway" : undefined,
  };
}

/** What to say of a library without photographs: that they are on their way, or how to add them. */
export function emptyLibrary(facts) {
  if (!isIndexing(facts)) return EMPTY_LIBRARY;
  return { title: "The photographs are being read", text: "The first of them can be searched in a moment." };
}

/** Whether the service is reading photographs now. */
export function isIndexing(facts) {
  return Boolean(facts?.indexing && !facts.indexing.error);
}

/** What is said where the browser cannot draw the photograph. */
export const undrawable = "This browser does not show photographs of its format. A part of it can be given in numbers.";

/** What the picture shows that is searched with. */
export function picture(query) {
  return query.uploadName || "Photograph of the library";
}

/** Which part of its photograph a query searches with; `answer` is null until there is one. */
export function part(query, answer) {
  if (query.box) return "Only the part in the box is searched with.";
  if (answer?.borders_left_out) return "Its borders were left out: only the part in the box was searched with.";
  return "Drag a box over the photograph to search with a part of it.";
}

/** The message for a search that failed. */
export function failure(error) {
  if (error.kind === "unreachable") {
    return { title: "The service cannot be reached", text: error.message, action: "Try again", urgent: true };
  }
  if (error.kind) return { title: "That search did not work", text: error.message, urgent: true };
  throw error;
}

/** The message for an address whose uploaded photograph this page does not have. */
export function lostUpload(name) {
  return {
    title: "That photograph is not kept",
    text: `“${name}” was searched with from another page or before a reload. Drop, paste or choose it again.`,
  };
}

function indexing(run) {
  if (!run) return "";
  if (run.error) return `Reading photographs stopped: ${run.error}`;
  return run.total ? `reading ${numbers.format(run.done)} of ${numbers.format(run.total)}` : "reading folders";
}

function nothing(query) {
  return query.text ? "Nothing here shows that" : "Nothing here looks like that";
}

function match(value) {
  return value.toFixed(2);
}

function photographs(number) {
  return `${numbers.format(number)} ${number === 1 ? "photograph" : "photographs"}`;
}
