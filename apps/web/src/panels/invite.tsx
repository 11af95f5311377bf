/** How others join: a code for phones, the address for everybody. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { encode } from 'uqr';
import type { Run } from '../watch/room.ts';

export interface InviteProps {
  readonly run: Run | undefined;
  readonly token: string | undefined;
}

export function Invite({ run, token }: InviteProps) {
  const isCopied = useSignal(false);
  const address = joinAddress(run, token);
  const command = `npm run worker -- --url ${workerUrl(run)}`;
  useEffect(() => {
    isCopied.value = false;
  }, [address, isCopied]);
  return (
    <>
      <button type="button" popovertarget="invite">
        Invite
      </button>
      <div id="invite" popover="auto" class="bubble invite" role="dialog" aria-label="Invite others">
        <Code text={address} />
        <p>Scan it, or open</p>
        <p>
          <code class="address">{address}</code>
        </p>
        {navigator.clipboard && (
          <button
            type="button"
            onClick={async () => {
              await navigator.clipboard.writeText(address);
              isCopied.value = true;
            }}
          >
            {isCopied.value ? 'Copied' : 'Copy the address'}
          </button>
        )}
        <p>From a terminal</p>
        <p>
          <code class="address">
            {command}
            {token === undefined ? '' : ' --token …'}
          </code>
        </p>
        {run?.tokenNeeded && token === undefined && (
          <p class="fault">
            Joining needs a token that this page does not know: use the address that the coordinator printed.
          </p>
        )}
      </div>
    </>
  );
}

/** The address for tabs: the coordinator's own where it says one that others can reach, else this page's. */
function joinAddress(run: Run | undefined, token: string | undefined): string {
  const offered = run?.joinAddresses.find((address) => address.startsWith('http'));
  const url = new URL(isLoopback(location.hostname) && offered ? offered : location.origin);
  url.hash = new URLSearchParams(token === undefined ? {} : { token }).toString();
  return `${url.origin}${url.pathname}#join${url.hash === '' ? '' : `&${url.hash.slice(1)}`}`;
}

function workerUrl(run: Run | undefined): string {
  const offered = run?.joinAddresses.find((address) => address.startsWith('ws'));
  if (offered && isLoopback(location.hostname)) return offered;
  return location.origin.replace(/^http/, 'ws');
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || host.startsWith('127.');
}

function Code({ text }: { readonly text: string }) {
  const { size, data } = encode(text, { ecc: 'M', border: 2 });
  const path = data.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : ''))).join('');
  return (
    <svg class="code" viewBox={`0 0 ${size} ${size}`} role="img" aria-label="QR code of the join address">
      <rect width={size} height={size} class="code-paper" />
      <path d={path} class="code-ink" />
    </svg>
  );
}
