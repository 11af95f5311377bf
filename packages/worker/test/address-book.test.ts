import { describe, expect, it } from 'vitest';
import { AddressBook } from '../src/addresses.ts';

const given = { url: 'ws://10.0.0.1:7070/', fingerprint: undefined };

/** Returns the addresses tried, in order, if only the `answering` ones answer. */
async function tried(book: AddressBook, answering: readonly string[]): Promise<string[]> {
  const attempts: string[] = [];
  const attempt = async ({ url }: { readonly url: string }): Promise<string> => {
    attempts.push(url);
    if (!answering.includes(url)) throw new Error(`${url} does not answer`);
    return url;
  };
  await book.reach(attempt).catch(() => {});
  return attempts;
}

describe('an address book', () => {
  it('has the given address alone until others are told', async () => {
    expect(await tried(new AddressBook(given), [])).toEqual([given.url]);
  });

  it('tries the others in turn where the joined one does not answer, and stays with the one that does', async () => {
    const book = new AddressBook(given);
    book.learn(['ws://10.0.0.2:7070/', 'ws://10.0.0.3:7070/']);
    expect(await tried(book, ['ws://10.0.0.3:7070/'])).toEqual([
      given.url,
      'ws://10.0.0.2:7070/',
      'ws://10.0.0.3:7070/',
    ]);
    expect(book.joined.url).toBe('ws://10.0.0.3:7070/');
    expect((await tried(book, []))[0]).toBe('ws://10.0.0.3:7070/');
  });

  it('never forgets the given address, and forgets what was told before', async () => {
    const book = new AddressBook(given);
    book.learn(['ws://10.0.0.2:7070/']);
    await tried(book, ['ws://10.0.0.2:7070/']);
    book.learn(['ws://10.0.0.4:7070/']);
    expect(await tried(book, [])).toEqual(['ws://10.0.0.2:7070/', given.url, 'ws://10.0.0.4:7070/']);
  });

  it('says why the first address was not reached', async () => {
    const book = new AddressBook(given);
    book.learn(['ws://10.0.0.2:7070/']);
    const fail = async ({ url }: { readonly url: string }): Promise<never> => {
      throw new Error(`${url} does not answer`);
    };
    await expect(book.reach(fail)).rejects.toThrow(`${given.url} does not answer`);
  });

  it.each(['127.0.0.1', 'localhost', '[::1]'])(
    'tries %s only where the given address is of this machine',
    async (host) => {
      const told = `ws://${host}:7071/`;
      const elsewhere = new AddressBook(given);
      elsewhere.learn([told]);
      expect(await tried(elsewhere, [])).toEqual([given.url]);
      const here = new AddressBook({ url: 'ws://127.0.0.1:7070/', fingerprint: undefined });
      here.learn([told]);
      expect(await tried(here, [])).toEqual(['ws://127.0.0.1:7070/', told]);
    },
  );

  it('takes the fingerprint of a certificate from an address', async () => {
    const book = new AddressBook(given);
    book.learn(['wss://10.0.0.2:7070/?fingerprint=00ff']);
    const fingerprints: (string | undefined)[] = [];
    await book
      .reach(async ({ fingerprint }) => {
        fingerprints.push(fingerprint);
        throw new Error('no answer');
      })
      .catch(() => {});
    expect(fingerprints).toEqual([undefined, '00ff']);
  });
});
