/** The controls above the hits: order, minimum match and how many to show. */

const element = (name) => document.getElementById(name);

const SLIDER_DELAY_MS = 200;

/** Show the controls of `query`; those of a match are hidden if photos are `byDate` and compared with nothing. */
export function showControls(query, byDate) {
  element("k").value = query.k;
  element("refine").hidden = byDate;
  const [bestMatch] = element("order").options;
  bestMatch.hidden = bestMatch.disabled = byDate;
  element("order").value = byDate && query.order === "match" ? "-taken_at" : query.order;
}

/** Show or hide the choice of the order. */
export function showOrder(isShown) {
  element("order").parentElement.hidden = !isShown;
}

/** Show the minimum match. The default is known only from an answer; with null the slider stays where it was. */
export function showMinMatch(minMatch, isAuto) {
  if (minMatch !== null) {
    element("min-match").value = minMatch;
    element("min-match-value").textContent = minMatch.toFixed(2);
  }
  element("min-match-auto").setAttribute("aria-pressed", isAuto);
}

/** Call `onChange(change)` with the part of the query that the user changes. */
export function listenToControls(onChange) {
  let delay;
  element("min-match").addEventListener("input", (event) => {
    const minMatch = Number(event.target.value);
    showMinMatch(minMatch, false);
    clearTimeout(delay);
    delay = setTimeout(() => onChange({ minMatch }), SLIDER_DELAY_MS);
  });
  element("min-match-auto").addEventListener("click", () => {
    clearTimeout(delay);
    onChange({ minMatch: null });
  });
  element("k").addEventListener("change", (event) => onChange({ k: Number(event.target.value) }));
  element("order").addEventListener("change", (event) => onChange({ order: event.target.value }));
}
