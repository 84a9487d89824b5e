import { defineConfig } from 'vite';

/** `npm run dev` serves the page and hands the rest to a worker: `troupe serve --dev`. */
const WORKER = 'http://127.0.0.1:9090';

export default defineConfig({
  build: {
    target: 'es2022',
    // The page's policy allows no inline scripts; everything is a file of its own.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { '/admin': { target: WORKER } } },
});
