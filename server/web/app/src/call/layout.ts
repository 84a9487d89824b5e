/** How tiles share a rectangle. Pure. */

/** Size of a tile and how many stand in a row, in pixels. */
export interface Grid {
  columns: number;
  width: number;
  height: number;
}

/** Pictures may be cropped between these shapes, width to height. */
const WIDEST = 16 / 9;
const NARROWEST = 1;

/** The arrangement in which `count` tiles are largest in `width` × `height` with `gap` between. */
export function arrange(count: number, width: number, height: number, gap: number): Grid {
  let best: Grid = { columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= Math.max(1, count); columns += 1) {
    const rows = Math.ceil(Math.max(1, count) / columns);
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
