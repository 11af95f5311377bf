/** Asks for the admin token, which the owner's address carries and a guest can enter. */
import { useSignal } from '@preact/signals';
import { bindInput } from './bind-input.ts';

export function Unlock({ onToken }: { readonly onToken: (token: string) => void }) {
  const token = useSignal('');
  const submit = (event: Event): void => {
    event.preventDefault();
    if (token.value.trim() !== '') onToken(token.value.trim());
  };
  return (
    <>
      <button type="button" popovertarget="unlock">
        Control
      </button>
      <div id="unlock" popover="auto" class="bubble" role="dialog" aria-label="Control this run">
        <form class="unlock" onSubmit={submit}>
          <p>
            Start, pause, stop and save need the admin token. It is in the address that the coordinator printed for its
            owner.
          </p>
          <label>
            Admin token
            <input type="password" autocomplete="off" {...bindInput(token)} />
          </label>
          <button type="submit" class="primary">
            Unlock
          </button>
        </form>
      </div>
    </>
  );
}
