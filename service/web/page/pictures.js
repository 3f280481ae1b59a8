/** Thumbnails, previews and originals of photos in `<img>` elements. */

// Pixels of the longer side, at most.
const THUMBNAIL_SIDE = 384;
const PREVIEW_SIDE = 768;

const loads = new WeakMap();

/** The path of a link of this service; empty for none and for a link to elsewhere. */
export function ownPath(link) {
  if (!link) return "";
  const url = new URL(link, location.origin);
  return url.origin === location.origin ? url.pathname + url.search : "";
}

/** Show the thumbnail of `photo`, or its preview where the screen has the pixels; `sizes` is for browsers without "auto". */
export function showThumbnail(picture, photo, sizes) {
  const [small, large] = [THUMBNAIL_SIDE, PREVIEW_SIDE].map((side) => widthAt(photo, side));
  const [thumbnail, preview] = [ownPath(photo.links.thumbnail), ownPath(photo.links.preview)];
  if (preview && large > small) {
    picture.sizes = `auto, ${sizes}`;
    picture.srcset = `${thumbnail} ${small}w, ${preview} ${large}w`;
  }
  picture.src = thumbnail;
}

/** Show the first of `addresses` in `picture` at once, and each better one, which come later, when it has loaded. */
export function showProgressively(picture, addresses, onError = () => {}) {
  stopLoading(picture);
  const [first, ...better] = addresses.filter(Boolean);
  let shown = -1;
  if (first) picture.src = first;
  else picture.removeAttribute("src");
  const images = better.map((address, rank) => {
    const image = new Image();
    image.onload = () => {
      if (rank < shown) return;
      shown = rank;
      picture.src = address;
    };
    if (rank === better.length - 1) image.onerror = onError;
    image.src = address;
    return image;
  });
  loads.set(picture, images);
}

/** Stop loading what `showProgressively` has not shown yet. */
export function stopLoading(picture) {
  for (const image of loads.get(picture) ?? []) {
    image.onload = image.onerror = null;
    image.src = "";
  }
  loads.delete(picture);
}

function widthAt({ width, height }, side) {
  return Math.round(width * Math.min(1, side / Math.max(width, height))) || 0;
}
