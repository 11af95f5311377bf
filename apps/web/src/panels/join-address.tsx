/** Shows others how to join: the join address as a QR code and as text, and the command for a terminal. */
import { encode } from 'uqr';
import { joinCommand, joinLink } from '../join/join-addresses.ts';
import type { Run } from '../watch/run-store.ts';
import { CopyButton } from './copy-button.tsx';

interface JoinAddressProps {
  readonly run: Pick<Run, 'joinAddresses' | 'workerCommand' | 'tokenNeeded'> | undefined;
  readonly token: string | undefined;
}

export function JoinAddress({ run, token }: JoinAddressProps) {
  const page = new URL(location.href);
  const link = joinLink(run, token, page);
  return (
    <>
      <button type="button" popovertarget="join-address">
        Invite
      </button>
      <div id="join-address" popover="auto" class="bubble join-address" role="dialog" aria-label="Join address">
        <QrCode text={link} />
        <p>Scan it, or open</p>
        <p>
          <code class="address">{link}</code>
        </p>
        <CopyButton text={link} label="Copy the address" />
        {run && <Command command={joinCommand(run, token, page)} />}
        {run?.tokenNeeded && token === undefined && (
          <p class="error">
            Joining needs a token that this page does not know: use the address that the coordinator printed.
          </p>
        )}
      </div>
    </>
  );
}

function Command({ command }: { readonly command: string }) {
  return (
    <>
      <p>From a terminal</p>
      <p>
        <code class="address">{command}</code>
      </p>
      <CopyButton text={command} label="Copy the command" />
    </>
  );
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
