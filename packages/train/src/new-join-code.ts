/** A short code that stands for the join token, for people who type it. */

/** No two of them look alike, and none depends on its case. */
const alphabet = 'ABCDEFGHJKMNPQRSTUVWXYZ23456789';
const length = 6;

/** Six of 31 letters and digits: 31^6 = 887,503,681 codes. `guard/guesses.ts` limits how many a client tries. */
export function newJoinCode(): string {
  let code = '';
  while (code.length < length) {
    const [byte] = crypto.getRandomValues(new Uint8Array(1));
    // The last, partial round of the alphabet would make some letters more likely.
    if (byte! < 256 - (256 % alphabet.length)) code += alphabet[byte! % alphabet.length];
  }
  return code;
}

export function isJoinCode(text: string): boolean {
  return text.length === length && [...text].every((letter) => alphabet.includes(letter));
}
