/** Shows others how to join: the address as a QR code and as text, and the command for a terminal. */
import { invitationOf, joinCommand, uninvitedTexts } from '../join/join-addresses.ts';
import type { Run } from '../watch/run-store.ts';
import { CopyButton } from './copy-button.tsx';
import { QrCode } from './qr-code.tsx';

interface JoinAddressProps {
  readonly run: Pick<Run, 'joinAddresses' | 'workerCommand' | 'tokenNeeded'> | undefined;
  readonly token: string | undefined;
  /** A short code that people may type instead of the token. */
  readonly code: string | undefined;
}

export function JoinAddress({ run, token, code }: JoinAddressProps) {
  const page = new URL(location.href);
  const invitation = invitationOf(run, token, page);
  const isOpen = invitation.type === 'open';
  return (
    <>
      <button type="button" popovertarget="join-address">
        Invite
      </button>
      <div id="join-address" popover="auto" class="bubble join-address" role="dialog" aria-label="Join address">
        {invitation.type !== 'open' && <p class="uninvited">{uninvitedTexts[invitation.type]}</p>}
        {isOpen && <QrCode text={invitation.link} />}
        {invitation.type !== 'no-token' && (
          <>
            <p>{isOpen ? 'Scan it, or open' : 'On this computer, open'}</p>
            <p>
              <code class="address">{invitation.link}</code>
            </p>
            <CopyButton text={invitation.link} label="Copy the address" />
          </>
        )}
        {invitation.type !== 'no-token' && code !== undefined && (
          <p>
            Or open the address up to the # and type the code <code class="address">{code}</code>
          </p>
        )}
        <p>
          <a class="button" href="#room">
            Show it to the room
          </a>
        </p>
        {run && invitation.type !== 'no-token' && <Command command={joinCommand(run, token, page)} />}
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
