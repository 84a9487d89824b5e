import js from '@eslint/js';
import globals from 'globals';

export default [
  // What Python packages bring is not ours.
  { ignores: ['.venv/'] },
  js.configs.recommended,
  {
    // Functions given to `page.evaluate` run in the browser, the rest in Node.
    languageOptions: {
      globals: {
        ...globals.node,
        ...globals.browser,
        call: 'readonly',
        direct: 'readonly',
        layers: 'readonly',
        lips: 'readonly',
        moq: 'readonly',
        moves: 'readonly',
        probe: 'readonly',
      },
    },
  },
];
