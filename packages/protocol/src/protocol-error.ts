/** The one error for a frame that breaks the protocol. */

/** Close codes for a refused frame (RFC 6455, section 7.4.1): bad frame, text frame, frame too large. */
export type RefusalCloseCode = 1002 | 1003 | 1009;

/** A refused frame; the message is one sentence with expected and got, without the contents of secret fields. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly closeCode: RefusalCloseCode;

  constructor(message: string, closeCode: RefusalCloseCode = 1002) {
    super(message);
    this.closeCode = closeCode;
  }
}
