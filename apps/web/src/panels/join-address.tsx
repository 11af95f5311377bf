/** Shows others how to join: the join address as a QR code and as text, and the command for a terminal. */
import { useSignal } from '@preact/signals';
import { encode } from 'uqr';
import type { Run } from '../watch/run-store.ts';

export function JoinAddress({ run, token }: { readonly run: Run | undefined; readonly token: string | undefined }) {
  const address = `${new URL(reachableAddress(run, 'http')).href}#join${token === undefined ? '' : `&${new URLSearchParams({ token })}`}`;
  return (
    <>
      <button type="button" popovertarget="join-address">
        Invite
      </button>
      <div id="join-address" popover="auto" class="bubble join-address" role="dialog" aria-label="Join address">
        <QrCode text={address} />
        <p>Scan it, or open</p>
        <p>
          <code class="address">{address}</code>
        </p>
        {navigator.clipboard && <CopyButton text={address} />}
        <p>From a terminal</p>
        <p>
          <code class="address">
            npm run worker -- --url {reachableAddress(run, 'ws')}
            {token === undefined ? '' : ' --token …'}
          </code>
        </p>
        {run?.tokenNeeded && token === undefined && (
          <p class="error">
            Joining needs a token that this page does not know: use the address that the coordinator printed.
          </p>
        )}
      </div>
    </>
  );
}

function CopyButton({ text }: { readonly text: string }) {
  const copied = useSignal('');
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    copied.value = text;
  };
  return (
    <button type="button" onClick={copy}>
      {copied.value === text ? 'Copied' : 'Copy the address'}
    </button>
  );
}

/** This page's address or, where that is a loopback address, the one at which others reach the coordinator. */
function reachableAddress(run: Run | undefined, scheme: 'http' | 'ws'): string {
  const isLoopback = /^(localhost|\[::1\]|127\..*)$/.test(location.hostname);
  const offered = run?.joinAddresses.find((address) => address.startsWith(scheme));
  return isLoopback && offered ? offered : location.origin.replace(/^http/, scheme);
}

function QrCode({ text }: { readonly text: string }) {
  const { size, data } = encode(text, { ecc: 'M', border: 2 });
  const path = data.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : ''))).join('');
  return (
    <svg class="qr-code" viewBox={`0 0 ${size} ${size}`} role="img" aria-label="QR code of the join address">
      <rect width={size} height={size} class="qr-light" />
      <path d={path} class="qr-dark" />
    </svg>
  );
}
