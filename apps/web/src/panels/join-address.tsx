/** Shows others how to join: the join address as a QR code and as text, and the command for a terminal. */
import { joinCommand, joinLink } from '../join/join-addresses.ts';
import type { Run } from '../watch/run-store.ts';
import { CopyButton } from './copy-button.tsx';
import { QrCode } from './qr-code.tsx';

interface JoinAddressProps {
  readonly run: Pick<Run, 'joinAddresses' | 'workerCommand' | 'tokenNeeded'> | undefined;
  readonly token: string | undefined;
  /** What people may type in place of the token. */
  readonly code: string | undefined;
}

export function JoinAddress({ run, token, code }: JoinAddressProps) {
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
        {code !== undefined && (
          <p>
            Or open the address up to the # and type the code <code class="address">{code}</code>
          </p>
        )}
        <p>
          <a class="button" href="#room">
            Show it to the room
          </a>
        </p>
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
