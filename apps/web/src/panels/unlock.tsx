/** Asks for the admin token. The owner's address contains it; a guest can enter it. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { sentence } from '../watch/status.ts';
import { bindInput } from './bind-input.ts';

interface UnlockProps {
  /** Why the last token was refused. */
  readonly fault: string | undefined;
  readonly onToken: (token: string) => void;
}

export function Unlock({ fault, onToken }: UnlockProps) {
  const token = useSignal('');
  const bubble = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (fault !== undefined) bubble.current?.showPopover();
  }, [fault]);
  const submit = (event: Event): void => {
    event.preventDefault();
    if (token.value.trim() !== '') onToken(token.value.trim());
  };
  return (
    <>
      <button type="button" popovertarget="unlock">
        Control
      </button>
      <div ref={bubble} id="unlock" popover="auto" class="bubble" role="dialog" aria-label="Control this run">
        <form class="unlock" onSubmit={submit}>
          <p>
            Start, pause, stop and save need the admin token. It is in the address that the coordinator printed for its
            owner.
          </p>
          <label>
            Admin token
            <input type="password" autocomplete="off" {...bindInput(token)} />
          </label>
          <p class="error" role="alert">
            {fault === undefined ? '' : sentence(fault)}
          </p>
          <button type="submit" class="primary">
            Unlock
          </button>
        </form>
      </div>
    </>
  );
}
