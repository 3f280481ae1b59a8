/** All texts of the page that depend on results and errors. */

const numbers = new Intl.NumberFormat("en");

// Dates are those of the clock of the place, in whatever zone it was; as UTC they are shown unchanged.
const lists = new Intl.ListFormat("en-GB");
const days = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeZone: "UTC" });
const moments = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeStyle: "short", timeZone: "UTC" });

const CALIBRATIONS = {
  ratings: "match fitted on human ratings",
  sigmoid: "match is the model’s own probability",
  background: "match relative to this library",
  head: "match is the probability of the same kind",
};

const EMPTY_LIBRARY = {
  title: "This library has no photos yet",
  text: "Add a folder with this command, then search again:",
  command: "smysl index DIR",
};

/** The option to compare photos without a head. */
export const noHead = "overall similarity";

/** The window title. */
export function title(query) {
  if (query.text) return `${query.text} – smysl`;
  if (query.uploadName) return `Similar to ${query.uploadName} – smysl`;
  return query.photo === null ? "smysl" : "Similar photos – smysl";
}

/** The library in one line, from the answer of /status. */
export function library(status) {
  return [photos(status.photographs), status.model?.name, indexing(status.indexing)].filter(Boolean).join(" · ");
}

/** How many photos are shown, and of how many that the filters leave. */
export function count(answer) {
  const all = answer.filtered ?? answer.photographs;
  return answer.model === null || !all ? photos(all) : `${numbers.format(answer.hits.length)} of ${photos(all)}`;
}

/** How they were found: time, model, head, and what the match is based on. */
export function details(answer) {
  const time = answer.took_ms < 1 ? "under 1 ms" : `${numbers.format(Math.round(answer.took_ms))} ms`;
  const parts = [time, answer.model, answer.head && `head ${answer.head}`, CALIBRATIONS[answer.calibration]];
  return parts.filter(Boolean).map((part) => ` · ${part}`).join("");
}

/** A warning above hits of which none is a good match; null if there is nothing to warn about. */
export function warning(answer, query) {
  if (answer.model === null || answer.answerable !== false || !answer.hits.length) return null;
  return `${noMatches(query)}: the best match is ${match(answer.best_match ?? answer.hits[0].match)}. These are the closest photos.`;
}

/** The message for an answer without hits. */
export function nothingFound(answer, query) {
  if (answer.understood?.length) return nothingWithFilters(answer);
  const best = Number.isFinite(answer.best_match) ? `The best match is ${match(answer.best_match)}` : "";
  const least = `${match(answer.min_match)} or more`;
  const threshold = answer.min_match > 0 ? (query.minMatch === null ? `only ${least} is shown` : `you asked for ${least}`) : "";
  return {
    title: noMatches(query),
    text: [best, threshold].filter(Boolean).join("; ") + (best || threshold ? "." : ""),
    action: answer.min_match > 0 ? "Show the closest anyway" : undefined,
  };
}

/** The message for a library without photos: that they are being indexed, or how to add them. */
export function emptyLibrary(status) {
  if (!isIndexing(status)) return EMPTY_LIBRARY;
  return { title: "Indexing photos", text: "You can search the first of them in a moment." };
}

/** Whether the service is indexing photos now. */
export function isIndexing(status) {
  return Boolean(status?.indexing && !status.indexing.error);
}

/** Shown instead of a query photo that the browser cannot display. */
export const cannotDisplay = "This browser cannot display the photo’s format. You can enter an area in numbers.";

/** The alternative text of the query photo. */
export function queryPhoto(query) {
  return query.uploadName || "Photo from the library";
}

/** Which area of its photo a query searches with; `answer` is null until there is one. */
export function crop(query, answer) {
  if (query.box) return "Searching with the selected area.";
  if (answer?.borders_left_out) return "Borders were cut off; searching with the outlined area.";
  return "Drag a box on the photo to search with part of it.";
}

/** Which one of `total` photos number `index` is. */
export function position(index, total) {
  return `${numbers.format(index + 1)} of ${numbers.format(total)}`;
}

/** The heading of photos of one day. */
export function day(takenAt) {
  const moment = wallClock(takenAt);
  return moment ? days.format(moment) : "Without a date";
}

/** When, with what and where a photo was taken; empty texts for what is not known. */
export function metadata(photo) {
  const { town, region, country } = photo.place ?? {};
  return {
    date: dateAndTime(photo.taken_at),
    camera: [photo.camera, photo.lens].filter(Boolean).join(", "),
    place: [...new Set([town, region, country])].filter(Boolean).join(", "),
  };
}

/** The message for a search that failed. */
export function failure(error) {
  if (error.kind === "unreachable") {
    return { title: "Cannot reach the service", text: error.message, action: "Try again", urgent: true };
  }
  if (error.kind) return { title: "The search failed", text: error.message, urgent: true };
  throw error;
}

/** The message for an address whose uploaded photo this page no longer has. */
export function lostUpload(name) {
  return {
    title: "The uploaded photo is gone",
    text: `“${name}” was uploaded on another page or before a reload. Drop, paste or choose it again.`,
  };
}

function indexing(progress) {
  if (!progress) return "";
  if (progress.error) return `Indexing stopped: ${progress.error}`;
  return progress.total ? `indexing ${numbers.format(progress.done)} of ${numbers.format(progress.total)}` : "scanning folders";
}

function nothingWithFilters({ understood, without_filters: without, model }) {
  const labels = [...new Set(understood.map((filter) => `“${filter.label}”`))];
  const [filters, them] = labels.length === 1 ? ["filter", "it"] : ["filters", "them"];
  const nothing = `Nothing with the ${filters} ${lists.format(labels)}`;
  const rest = without?.hits
    ? `. Without ${them}: ${without.or_more ? "at least " : ""}${photos(without.hits)}.`
    : model === null ? "." : `, and no good match without ${them}.`;
  return { title: "No matches", text: nothing + rest, action: `Remove the ${filters}` };
}

function dateAndTime(text) {
  const moment = wallClock(text);
  return moment ? moments.format(moment) : "";
}

// "2023-07-14T18:30:05+02:00" without its offset; null for what is no date.
function wallClock(text) {
  const moment = new Date(`${text?.slice(0, 19)}Z`);
  return Number.isNaN(moment.valueOf()) ? null : moment;
}

function noMatches(query) {
  return query.text ? "No matches" : "No similar photos";
}

function match(value) {
  return value.toFixed(2);
}

function photos(number) {
  return `${numbers.format(number)} ${number === 1 ? "photo" : "photos"}`;
}
