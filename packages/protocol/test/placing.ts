import type { Message, Transport } from '../src/index.ts';

/** Delivers the bytes of messages in the memory that the listener gives for them, as shared memory does. */
export function placing<Receives extends Message, Sends extends Message, T extends Transport<Receives, Sends>>(
  transport: T & Transport<Receives, Sends>,
): T {
  const listen = transport.listen.bind(transport);
  return Object.assign(transport, {
    listen: ({ memoryFor, onMessage, onClose }: Parameters<typeof listen>[0]) =>
      listen({
        onMessage(message) {
          const place = 'bytes' in message ? memoryFor?.(message.type, message.bytes.length) : undefined;
          if (!place || !('bytes' in message)) return onMessage(message);
          place.set(message.bytes);
          onMessage({ ...message, bytes: place });
        },
        onClose,
      }),
  });
}
