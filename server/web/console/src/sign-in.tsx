/** Takes an admin token. */

import type { VNode } from 'preact';
import { useState } from 'preact/hooks';

import { Api, Problem, keepToken } from './api.js';
import { messageOf } from './text.js';

export function SignIn({ onToken }: { onToken: (token: string) => void }): VNode {
  const [token, setToken] = useState('');
  const [error, setError] = useState<string | null>(null);
  const enter = async (): Promise<void> => {
    try {
      await new Api(token.trim()).get('workers');
      keepToken(token.trim());
      onToken(token.trim());
    } catch (error) {
      const refused = error instanceof Problem && [401, 403].includes(error.status);
      setError(refused ? 'This token is not believed, or has no role here.' : messageOf(error));
    }
  };
  return (
    <main class="sign-in card">
      <h1>Troupe console</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void enter();
        }}
      >
        <label for="token">Admin token</label>
        <input
          id="token"
          type="password"
          autocomplete="off"
          required
          value={token}
          aria-describedby="token-help"
          onInput={(event) => setToken(event.currentTarget.value)}
        />
        <p id="token-help" class="soft">
          <code>troupe token --room '*' --identity you --admin operator</code> makes one. It stays in
          this tab.
        </p>
        {error && (
          <p role="alert" class="bad">
            {error}
          </p>
        )}
        <button type="submit" class="primary">
          Sign in
        </button>
      </form>
    </main>
  );
}
