import { defineConfig } from 'vite';

/** `npm run dev` serves the page and hands the rest to a worker: `troupe serve --dev`. */
const WORKER = 'http://127.0.0.1:8080';

export default defineConfig({
  build: {
    target: 'es2022',
    // The page's policy allows no inline scripts or data: fonts; everything is a file of its own.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // hls.js, which only who watches by HLS loads.
    chunkSizeWarningLimit: 640,
  },
  server: {
    proxy: {
      '/v1': { target: WORKER, ws: true },
      '/dev': { target: WORKER },
    },
  },
});
