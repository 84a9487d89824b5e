/** How tiles share a rectangle. Pure. */

/** Where a tile stands, in pixels from the top left of the stage. */
export interface Rect {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** Size of a tile and how many stand in a row. */
interface Grid {
  columns: number;
  width: number;
  height: number;
}

/** Pictures may be cropped between these shapes, width to height. */
const WIDEST = 16 / 9;
const NARROWEST = 1;
/** Tiles beside the stage: as wide as this part of the whole, within bounds that can be read. */
const STRIP_PART = 0.18;
const STRIP_WIDTH_MIN = 150;
const STRIP_WIDTH_MAX = 240;
const STRIP_SHAPE = 16 / 10;
/** Below the stage, where the whole is higher than wide. */
const STRIP_HEIGHT = 92;

/** The arrangement in which `count` tiles are largest in `width` × `height` with `gap` between. */
function arrange(count: number, width: number, height: number, gap: number): Grid {
  let best: Grid = { columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const fitted = fit((width - gap * (columns - 1)) / columns, (height - gap * (rows - 1)) / rows);
    if (fitted.width * fitted.height > best.width * best.height) best = { columns, ...fitted };
  }
  return best;
}

/** The largest tile of a legal shape in a cell. */
function fit(width: number, height: number): { width: number; height: number } {
  const [w, h] = [Math.max(0, width), Math.max(0, height)];
  if (w > h * WIDEST) return { width: Math.floor(h * WIDEST), height: Math.floor(h) };
  if (w < h * NARROWEST) return { width: Math.floor(w), height: Math.floor(w / NARROWEST) };
  return { width: Math.floor(w), height: Math.floor(h) };
}

/** An even grid, in the middle; a last row that is not full stands in its middle, too. */
export function gridOf(count: number, width: number, height: number, gap: number): Rect[] {
  const grid = arrange(count, width, height, gap);
  const rows = Math.ceil(count / grid.columns);
  const top = (height - rows * grid.height - (rows - 1) * gap) / 2;
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / grid.columns);
    const inRow = Math.min(grid.columns, count - row * grid.columns);
    const left = (width - inRow * grid.width - (inRow - 1) * gap) / 2;
    const column = index - row * grid.columns;
    return {
      left: Math.floor(left + column * (grid.width + gap)),
      top: Math.floor(top + row * (grid.height + gap)),
      width: grid.width,
      height: grid.height,
    };
  });
}

/** A stage, and beside or below it as many of `count` others as there is room for. */
export function stageOf(
  count: number,
  width: number,
  height: number,
  gap: number,
): { stage: Rect; strip: Rect[] } {
  if (count === 0) return { stage: { left: 0, top: 0, width, height }, strip: [] };
  if (height > width) {
    const size = { width: Math.floor(STRIP_HEIGHT * STRIP_SHAPE), height: STRIP_HEIGHT };
    const room = Math.max(1, Math.floor((width + gap) / (size.width + gap)));
    const top = Math.max(0, height - size.height);
    const strip = Array.from({ length: Math.min(count, room) }, (_, index) => {
      return { left: index * (size.width + gap), top, ...size };
    });
    return { stage: { left: 0, top: 0, width, height: Math.max(0, top - gap) }, strip };
  }
  // Narrower where that makes room for everybody.
  const shared = ((height + gap) / count - gap) * STRIP_SHAPE;
  const wanted = Math.min(STRIP_WIDTH_MAX, width * STRIP_PART, shared);
  const wide = Math.max(STRIP_WIDTH_MIN, wanted);
  const size = { width: Math.floor(wide), height: Math.floor(wide / STRIP_SHAPE) };
  const room = Math.max(1, Math.floor((height + gap) / (size.height + gap)));
  const left = Math.max(0, width - size.width);
  const strip = Array.from({ length: Math.min(count, room) }, (_, index) => {
    return { left, top: index * (size.height + gap), ...size };
  });
  return { stage: { left: 0, top: 0, width: Math.max(0, left - gap), height }, strip };
}
